# A formatter would take the arguments in "extras" for assignments:
# fmt: off

# %% import-pyplot
#: import matplotlib.pyplot as plt.
#: hint: The line has the same form as the one that imports pandas.
#: hint: `import matplotlib.pyplot as plt`
import matplotlib.pyplot as plt

# %% scatter
#: write prediction_scatter(eval_df, builtin_metrics, artifacts_dir): it
#: draws the column "prediction" of eval_df against the column "target",
#: names both axes, closes the figure, and returns it under the key
#: "prediction_scatter".
#: hint: `plt.subplots()` answers with a figure and its axes. `axes.scatter` takes the horizontal
#: values, then the vertical ones; `axes.set` names both. `plt.close` takes the figure.
#: hint: `figure, axes = plt.subplots()`, then `axes.scatter(eval_df["target"],
#: eval_df["prediction"])`, `axes.set(xlabel="quality", ylabel="predicted quality")`,
#: `plt.close(figure)` and `return {"prediction_scatter": figure}`
def prediction_scatter(eval_df, builtin_metrics, artifacts_dir):
    """The predictions against the truth, a point a wine."""
    figure, axes = plt.subplots()
    axes.scatter(eval_df["target"], eval_df["prediction"], alpha=0.3)
    axes.set(xlabel="quality, as judged", ylabel="quality, as predicted")
    plt.close(figure)
    return {"prediction_scatter": figure}

# %% extras
#: pass the function to evaluate too, in a list: custom_artifacts.
#: hint: One more line between the brackets: a list of one function, without calling it.
#: hint: `custom_artifacts=[prediction_scatter],`
    extra_metrics=extra_metrics,
    custom_artifacts=[prediction_scatter],
