# A formatter would take the arguments in "extras" for assignments:
# fmt: off

# %% import-pyplot
#: import matplotlib.pyplot as plt.
#: hint: The line has the same form as the one that imports pandas.
#: hint: `import matplotlib.pyplot as plt`
import matplotlib.pyplot as plt

# %% plots
#: write draw_evaluation(eval_df, builtin_metrics, artifacts_dir). It draws
#: two panels side by side. On the left: a point for each wine, with the
#: column "target" of eval_df to the right and "prediction" upwards, and
#: the diagonal. On the right: a histogram of bootstrap_rmse. Label the
#: axes, close the figure, and return it under the key "evaluation".
#: hint: `plt.subplots(1, 2)` returns a figure and two axes. Axes have `scatter` (horizontal values
#: first), `axline` for the diagonal, `hist`, and `set` for the labels. `plt.close` takes the figure.
#: hint: `figure, (wines, errors) = plt.subplots(1, 2, figsize=(10, 4))`, then
#: `wines.scatter(eval_df["target"], eval_df["prediction"])`, `wines.axline((6, 6), slope=1)`,
#: `errors.hist(bootstrap_rmse(eval_df["prediction"], eval_df["target"]))`, a `set` with `xlabel=`
#: and `ylabel=` for each panel, `plt.close(figure)` and `return {"evaluation": figure}`
def draw_evaluation(eval_df, builtin_metrics, artifacts_dir):
    """The predictions against the true quality, and how far the RMSE may be off."""
    figure, (wines, errors) = plt.subplots(1, 2, figsize=(10, 4), layout="tight")
    wines.scatter(eval_df["target"], eval_df["prediction"], alpha=0.3, color="#7b1e3a")
    wines.axline((6, 6), slope=1, color="black")
    wines.set(xlabel="true quality", ylabel="predicted quality")
    errors.hist(bootstrap_rmse(eval_df["prediction"], eval_df["target"]), bins=30, color="grey")
    errors.set(xlabel="RMSE", ylabel="bootstrap samples")
    plt.close(figure)
    return {"evaluation": figure}

# %% extras
#: pass the function to evaluate too, as custom_artifacts: a list.
#: hint: It's a list with one function in it. Name the function, don't call it.
#: hint: `custom_artifacts=[draw_evaluation],`
    extra_metrics=extra_metrics,
    custom_artifacts=[draw_evaluation],
