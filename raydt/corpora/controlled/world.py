"""The latent world: what there is to say, the same for every language that shares it.

A world holds concepts (nouns in classes, verbs, adjectives) and what goes with what: a topic
prefers some classes and verbs, a verb wants objects of one class. A document is a small discourse
in it: a topic, a tense, a place, and a few named people who recur, each with an occupation and a
quality of their own. The names are new in every document, so that they cannot be learnt by heart:
a model that predicts them has learnt to look back. That, and agreement at a distance, is what can
carry over to a language without a word in common.

Everything here is a meaning, as arrays of concept numbers; `surface` gives it bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raydt.corpora.controlled.draw import IntArray, choose_rows, zipf_weights

NUM_NOUN_CLASSES = 8
NOUNS_PER_CLASS = 12
NUM_NOUNS = NUM_NOUN_CLASSES * NOUNS_PER_CLASS
NUM_VERBS = 40
NUM_ADJECTIVES = 24
NUM_TOPICS = 6
NUM_TENSES = 3
MAX_PEOPLE = 3
PLACE_CLASS = 0  # the first noun class are places
NONE = -1
# Much of a text is names: with fewer, what a language shares without words (looking back for a
# name) is too small a part of the loss to be seen after a minute's training.
PERSON_IS_OBJECT = 0.6
OCCUPATION_IS_SAID = 0.2
PLACE_IS_SAID = 0.15


@dataclass(frozen=True)
class World:
    """What goes with what. Probabilities are cumulative along the last axis."""

    verb_by_topic: np.ndarray  # (topics, verbs)
    object_class_by_verb: IntArray  # (verbs,)
    noun_by_topic_class: np.ndarray  # (topics, classes, nouns of the class)
    adjective_by_class: np.ndarray  # (classes, adjectives)


@dataclass(frozen=True)
class Meanings:
    """`n` sentences, row by row; `NONE` where a sentence lacks the part."""

    document: IntArray  # (n,) which document, non-decreasing
    tense: IntArray  # (n,)
    subject: IntArray  # (n,) person within the document
    subject_noun: IntArray  # (n,) the occupation, where it is said
    verb: IntArray  # (n,)
    object_person: IntArray  # (n,)
    object_noun: IntArray  # (n,)
    object_adjective: IntArray  # (n,)
    object_plural: IntArray  # (n,) 0 or 1
    place: IntArray  # (n,)


def build_world(seed: int) -> World:
    """The world of a seed."""
    rng = np.random.default_rng([seed, 0])

    def preferences(*shape: int, favourites: int) -> np.ndarray:
        """Cumulative Zipf weights over the last axis, in an order of their own in each row."""
        weights = np.zeros(shape)
        weights[..., :favourites] = zipf_weights(favourites)
        return rng.permuted(weights, axis=-1).cumsum(axis=-1)

    return World(
        verb_by_topic=preferences(NUM_TOPICS, NUM_VERBS, favourites=10),
        object_class_by_verb=rng.integers(1, NUM_NOUN_CLASSES, NUM_VERBS),
        noun_by_topic_class=preferences(
            NUM_TOPICS, NUM_NOUN_CLASSES, NOUNS_PER_CLASS, favourites=5
        ),
        adjective_by_class=preferences(NUM_NOUN_CLASSES, NUM_ADJECTIVES, favourites=4),
    )


def tell(world: World, num_documents: int, rng: np.random.Generator) -> Meanings:
    """`num_documents` discourses of five to twelve sentences each."""
    num_sentences = rng.integers(5, 13, num_documents)
    document = np.repeat(np.arange(num_documents), num_sentences)
    n = len(document)

    topic = rng.integers(0, NUM_TOPICS, num_documents)[document]
    tense = rng.integers(0, NUM_TENSES, num_documents)[document]
    place_class = np.full(num_documents, PLACE_CLASS)
    place = choose_rows(
        world.noun_by_topic_class[topic[np.cumsum(num_sentences) - 1], place_class], rng
    )[document]
    num_people = rng.integers(2, MAX_PEOPLE + 1, num_documents)[document]
    occupation = rng.integers(0, NOUNS_PER_CLASS, (num_documents, MAX_PEOPLE))

    subject = rng.integers(0, num_people)
    verb = choose_rows(world.verb_by_topic[topic], rng)
    object_class = world.object_class_by_verb[verb]
    noun = choose_rows(world.noun_by_topic_class[topic, object_class], rng)
    noun += object_class * NOUNS_PER_CLASS
    adjective = choose_rows(world.adjective_by_class[object_class], rng)

    to_person = rng.random(n) < PERSON_IS_OBJECT
    other_person = (subject + 1 + rng.integers(0, num_people - 1)) % num_people
    return Meanings(
        document=document,
        tense=tense,
        subject=subject,
        # People are the last noun class.
        subject_noun=np.where(
            rng.random(n) < OCCUPATION_IS_SAID,
            occupation[document, subject] + (NUM_NOUN_CLASSES - 1) * NOUNS_PER_CLASS,
            NONE,
        ),
        verb=verb,
        object_person=np.where(to_person, other_person, NONE),
        object_noun=np.where(to_person, NONE, noun),
        object_adjective=np.where(to_person | (rng.random(n) < 0.5), NONE, adjective),
        object_plural=rng.integers(0, 2, n),
        place=np.where(rng.random(n) < PLACE_IS_SAID, place, NONE),
    )
