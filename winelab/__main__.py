"""`python -m winelab COMMAND`: see winelab.commands.cli."""

import sys

from winelab.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
