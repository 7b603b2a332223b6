"""Tests of the tools; the made-up courses they share are in `tools.made_up`."""
