# %% arguments (script)
#: put these lines into a function read_arguments().
#: hint: Write a `def` line above them, and indent them all.
#: hint: `def read_arguments():`
def read_arguments():
    """The command line: which table, and which settings to try."""

# %% return-arguments (script)
#: return data_file, and the alphas and the l1_ratio of the arguments.
#: hint: One `return` can return several values, with commas between them.
#: hint: `return data_file, arguments.alpha, arguments.l1_ratio`
return data_file, arguments.alpha, arguments.l1_ratio

# %% model-settings (removed, script)
#: delete the two lines that give the settings names: main() does it.
#: hint: What they name is what read_arguments returns.
#: hint: `alphas = ...` and `l1_ratio = ...` go.

# %% open-store
#: put the lines of this cell into a function open_store().
#: hint: Write a `def` line above them, and indent them all. It takes nothing and returns nothing.
#: hint: `def open_store():`
def open_store():
    """Tell MLflow where to write: the course's file, or the server that the environment names."""

# %% version (removed)
#: delete the two lines about MLflow's version, and further down the two
#: lines about the tracking URI: the program prints what matters.
#: hint: `mlflow_version` and `tracking_uri` are used in their own `print` and nowhere else.
#: hint: What stays: `store = ...`, `mlflow.set_tracking_uri(...)`, `experiment = ...` and its
#: `print`.

# %% show-uri (removed)

# %% read-wine
#: put the lines of this cell into a function read_wine(data_file).
#: hint: Write a `def` line above them, and indent them all.
#: hint: `def read_wine(data_file):`
def read_wine(data_file):
    """Read the wine table: training and test measurements, their qualities, and the test table."""

# %% return-wine
#: return X_train, X_test, y_train, y_test and test, in this order.
#: hint: One `return` can return several names, with commas between them.
#: hint: `return X_train, X_test, y_train, y_test, test`
return X_train, X_test, y_train, y_test, test

# %% choose-alpha
#: put the lines of this cell into a function
#: choose_alpha(alphas, l1_ratio, tables). `tables` is what read_wine
#: returns: unpack it in the first line.
#: hint: It needs X_train and y_train. `_` is the usual name for what you don't need.
#: hint: `def choose_alpha(alphas, l1_ratio, tables):` and below it
#: `X_train, _, y_train, _, _ = tables`
def choose_alpha(alphas, l1_ratio, tables):
    """Cross-validate each alpha in a run of its own; return the one with the lowest RMSE."""
    X_train, _, y_train, _, _ = tables

# %% chosen
#: return the best alpha, as a number, in place of the lines that keep and
#: print it.
#: hint: The first row of `candidates` is the best, and params are texts.
#: hint: `return float(candidates["params.alpha"][0])`
return float(candidates["params.alpha"][0])

# %% evaluate-baseline
#: put the lines of this cell into a function evaluate_baseline(tables).
#: hint: It needs four of the five tables. Unpack them in the first line.
#: hint: `def evaluate_baseline(tables):` and below it `X_train, X_test, y_train, _, test = tables`
def evaluate_baseline(tables):
    """Evaluate the mean of the training wines as if it were a model, in a run of its own."""
    X_train, X_test, y_train, _, test = tables

# %% baseline-evaluation
#: return what evaluate returns, instead of giving it a name.
#: hint: A `return` can stand inside a `with`. The run still ends.
#: hint: `return mlflow.models.evaluate(` and the rest as it is.
return mlflow.models.evaluate(

# %% train
#: put the lines of this cell into a function
#: train(alpha, l1_ratio, tables, baseline_evaluation).
#: hint: Write a `def` line and a line that unpacks the tables, and indent the rest.
#: hint: `def train(alpha, l1_ratio, tables, baseline_evaluation):` and below it
#: `X_train, X_test, y_train, y_test, test = tables`
def train(alpha, l1_ratio, tables, baseline_evaluation):
    """Train, log, evaluate and validate one model; return what MLflow knows about it."""
    X_train, X_test, y_train, y_test, test = tables

# %% set-tags
#: set the tag "family" only. `data_file` isn't among the arguments,
#: and the datasets on the run say which wines it saw.
#: hint: There is a call for a single tag, which takes its name and its value.
#: hint: `mlflow.set_tag("family", "linear")`
mlflow.set_tag("family", "linear")

# %% return-model
#: return what log_model returned.
#: hint: It's the last line of the function, outside the `with`.
#: hint: `return model_info`
return model_info

# %% show (removed)
#: delete all lines of this cell: what they print is on the run, and you
#: read it from there at the end.
#: hint: Select all lines, and delete them. An empty cell does no harm.
#: hint: From `print(predictions[:5])` to the last `print`.

# %% show-metrics (removed)

# %% show-baseline (removed)

# %% show-evaluation (removed)

# %% show-verdict (removed)

# %% show-model (removed)

# %% main (script)
#: begin a function main(). All lines below belong to it.
#: hint: It takes nothing and returns nothing.
#: hint: `def main():`
def main():
    """From the wine table to a validated model."""

# %% take-arguments (script)
#: keep what read_arguments returns as data_file, alphas and l1_ratio.
#: hint: Three names stand left of one `=`, in the order of the `return`.
#: hint: `data_file, alphas, l1_ratio = read_arguments()`
data_file, alphas, l1_ratio = read_arguments()

# %% prepare
#: open the store, and read the wine table as `tables`.
#: hint: Call two of your functions. The file to read is `data_file`.
#: hint: `open_store()`, then `tables = read_wine(data_file)`
open_store()
tables = read_wine(data_file)

# %% choice
#: choose `alpha`, and evaluate the baseline as `baseline_evaluation`.
#: hint: Call two of your functions. Both take the tables.
#: hint: `alpha = choose_alpha(alphas, l1_ratio, tables)`, then
#: `baseline_evaluation = evaluate_baseline(tables)`
alpha = choose_alpha(alphas, l1_ratio, tables)
baseline_evaluation = evaluate_baseline(tables)

# %% training
#: train a model with this alpha, as `model_info`. Read its run from the
#: store, as `run`, and print alpha, the RMSE and the tag "validation".
#: hint: `model_info.run_id` is the id of the run that logged the model. `mlflow.get_run` reads it.
#: hint: `model_info = train(alpha, l1_ratio, tables, baseline_evaluation)`, then
#: `run = mlflow.get_run(model_info.run_id)`; the RMSE is
#: `run.data.metrics["rmse"]`, the tag `run.data.tags["validation"]`.
model_info = train(alpha, l1_ratio, tables, baseline_evaluation)
run = mlflow.get_run(model_info.run_id)
print(f"alpha {alpha}: rmse {run.data.metrics['rmse']:.3f},", run.data.tags["validation"])

# %% call-main (script)
#: call main(), but only where this file is run, and not imported.
#: hint: A file that is run has the `__name__` "__main__".
#: hint: `if __name__ == "__main__":` and below it `main()`
if __name__ == "__main__":
    main()
