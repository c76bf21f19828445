"""What a pixel of a portrait shows: the classes of the parser, of its training data and of the test people."""

from __future__ import annotations

LABELS = (
    "background", "skin", "brows", "eyes", "lips", "mouth", "ears", "hair", "facial_hair", "glasses", "hat", "clothes",
)  # fmt: skip
"""Class names; a label map holds indices into them.

background: everything that is not this person, other people too. skin: face, scalp that shows, lids with their lashes,
neck, shoulders. eyes: what is visible of the eyeballs, so nothing when they are closed. lips: the red of them. mouth:
teeth, tongue, gums, the dark between. hair: scalp hair wherever it hangs. facial_hair: beard, moustache and stubble
that hides most of the skin below. glasses: frames, and lenses too dark to see through; clear lenses show what is behind
them. hat: hats, caps, headscarves, bands. clothes: everything worn below the chin, scarves included.
"""

LABEL_INDEX = {name: i for i, name in enumerate(LABELS)}
