"""A pipeline with three environments."""

from winelab.checks.authoring import given

RIGHT_WAYS = ()
