# %% scatter (removed, given)

# %% extras (as in custom_metrics, given)

# %% plot
#: write plot_predictions_vs_targets(axes, targets, predictions, guess),
#: which draws on `axes`: a point a wine, the diagonal on which a perfect
#: model's points would lie, and a level line at `guess`, which is what
#: the baseline says of every wine. Label both axes, and show all three
#: in a legend.
#: hint: `axes.scatter` takes the horizontal values, then the vertical ones. `axes.axline` draws a
#: line through a point with a slope, `axes.axhline` a level one. What has a `label=` stands in the
#: `axes.legend()`; `axes.set` takes `xlabel=` and `ylabel=`.
#: hint: `axes.scatter(targets, predictions, alpha=0.3, label="a wine")`, then
#: `axes.axline((6, 6), slope=1, color="black", label="a perfect model")`, then
#: `axes.axhline(guess, color="grey", label="the baseline")`, then
#: `axes.set(xlabel="quality, as judged", ylabel="quality, as predicted")` and `axes.legend()`
def plot_predictions_vs_targets(axes, targets, predictions, guess):
    """Draw the predictions against the truth; the baseline says the same of every wine."""
    axes.scatter(targets, predictions, alpha=0.3, color="#7b1e3a", label="a wine")
    axes.axline((6, 6), slope=1, color="black", label="a perfect model")
    axes.axhline(guess, color="grey", linestyle="--", label="the baseline")
    axes.set(xlabel="quality, as judged", ylabel="quality, as predicted")
    axes.legend()

# %% log-plot
#: still inside the run: draw the test wines on the `axes` of a new
#: `figure`, log the figure as plots/predictions_vs_targets.png, and
#: close it.
#: hint: `mlflow.log_figure` takes the figure, and its path on the run. The baseline says the mean
#: quality of the training wines.
#: hint: `figure, axes = plt.subplots()`, then `plot_predictions_vs_targets(axes, y_test,
#: predictions, y_train.mean())`, then `mlflow.log_figure(figure,
#: "plots/predictions_vs_targets.png")`, then `plt.close(figure)`
figure, axes = plt.subplots()
plot_predictions_vs_targets(axes, y_test, predictions, y_train.mean())
mlflow.log_figure(figure, "plots/predictions_vs_targets.png")
plt.close(figure)
