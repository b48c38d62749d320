import logging

# Where a user has no home to write to, matplotlib warns of its cache in three lines.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
