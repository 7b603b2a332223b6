# JupyterLab's terminal in the course: your own settings first, then the course's Python. Last,
# because conda and pyenv put theirs in front of everything in those settings.
ZDOTDIR=$HOME
for file in ~/.zshenv ~/.zshrc; do
  if [ -f "$file" ]; then . "$file"; fi
done
. "$WINELAB_VENV/bin/activate"
