# %% [markdown]
# # What does a language inherit from another?
#
# From a folder of text to D_T, the bytes of data in the target that pretraining on the source was
# worth, and a figure. About a minute and a half on two cores. `pip install -e .` and a kernel of
# that environment are all it takes.

# %%
from pathlib import Path

import matplotlib.pyplot as plt

import raydt

# %% [markdown]
# ## The text
#
# `TEXTS` is a folder with a file a language, `<language>.txt`, and a document a line. Yours may be
# anywhere. If there is none, three made-up languages are written: `alba` and `related` are cousins,
# which speak of one world; `unrelated` has nothing in common with them.

# %%
TEXTS = Path("texts")
SOURCES, TARGET = ["related", "unrelated"], "alba"

if not TEXTS.exists():
    from raydt.corpora.controlled.catalog import generate

    TEXTS.mkdir()
    for language in [*SOURCES, TARGET]:
        documents = bytes(generate(language, "train", 300_000, seed=0)).split(b"\0")[:-1]
        (TEXTS / f"{language}.txt").write_bytes(b"\n".join(documents) + b"\n")
{path.name: path.stat().st_size for path in sorted(TEXTS.iterdir())}

# %% [markdown]
# ## The plan
#
# Each source is pretrained on once. Each size of target data is trained on from scratch (the
# ladder) and from each source (a finetune). `protocol` keeps it short here; left out, cells train
# until they have learned what is in their data.

# %%
planned = raydt.plan(
    corpus=f"files:{TEXTS}",
    sources=SOURCES,
    targets=[TARGET],
    sizes=["2k"],
    scratch_sizes=["4k", "8k", "16k"],
    pretrain_size="100k",
    seeds=[0, 1],
    protocol={"val_bytes": "4k", "test_bytes": "8k", "pretrain": {"epochs": 3}},
)
planned.cells.groupby("stage")["seconds"].agg(["size", "sum"])

# %% [markdown]
# ## Training
#
# What is done already is not trained again: run the cell once more after an interruption.

# %%
launch = raydt.train(planned.sweep)
assert launch.whole, launch.statuses

# %% [markdown]
# ## What the sources are worth
#
# The loss of a finetune is looked up on the ladder: D_E is the size from scratch that reaches it,
# and D_T = D_E less the bytes that it was finetuned on.

# %%
analysis = raydt.analyze(planned.sweep)
finetunes = analysis.effective.query("stage == 'finetune'")
finetunes[["source", "size", "loss", "effective_bytes", "transferred_bytes", "range"]]

# %%
ladder = analysis.cells.query("stage == 'scratch'").groupby("size_bytes")["test_loss"].mean()
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
axes.plot(ladder.index, ladder, "o-", color="black", label="from scratch")
for number, row in enumerate(finetunes.itertuples()):
    colour = f"C{number}"
    axes.plot(row.finetune_bytes, row.loss, "s", color=colour, label=f"from {row.source}")
    axes.annotate(
        "",
        xy=(row.effective_bytes, row.loss),
        xytext=(row.finetune_bytes, row.loss),
        arrowprops={"arrowstyle": "->", "color": colour},
    )
axes.set(xscale="log", xlabel=f"bytes of {TARGET}", ylabel="test loss, nats per byte")
axes.legend()
axes.set_title("The arrow's length is D_T")
figure.savefig("transfer.png", dpi=120)
