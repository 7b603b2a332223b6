"""Champion and challenger."""

from winelab.checks.authoring import given

RIGHT_WAYS = ()
