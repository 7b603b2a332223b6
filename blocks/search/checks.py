"""Search hyper-parameters."""

from winelab.checks.authoring import given

RIGHT_WAYS = ()
