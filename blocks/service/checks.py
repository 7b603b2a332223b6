"""A service of your own."""

from winelab.checks.authoring import given

RIGHT_WAYS = ()
