"""Languages as bytes: corpora, prepared once on disk, and the batches read from them."""
