"""Compare families of models."""

from winelab.checks.authoring import given

RIGHT_WAYS = ()
