# %% read
#: read the table as before, and turn all columns into float64.
#: hint: `astype` turns the columns of a table into another type; it can follow `read_csv(...)`
#: after a dot.
#: hint: `wine = pd.read_csv(data_file, sep=";").astype("float64")`
wine = pd.read_csv(data_file, sep=";").astype("float64")

# %% tables
#: write the two parts of the table, as train.csv and test.csv, into the
#: course's folder output/tables.
#: hint: The rows of a part are `wine.loc[X_train.index]`. Make the folder first: `mkdir` with
#: `parents=True` and `exist_ok=True`. `to_csv` writes a table, with `index=False` without the
#: row numbers.
#: hint: `tables = course / "output" / "tables"`, then `tables.mkdir(parents=True, exist_ok=True)`.
#: For the training part, `train = wine.loc[X_train.index]` and `train.to_csv(tables / "train.csv",
#: index=False)`; the same for the test part.
tables = course / "output" / "tables"
tables.mkdir(parents=True, exist_ok=True)
train = wine.loc[X_train.index]
test = wine.loc[X_test.index]
train.to_csv(tables / "train.csv", index=False)
test.to_csv(tables / "test.csv", index=False)

# %% log-data
#: inside the run, note the training table as a dataset called
#: "wine-train" with the context "training". Then log the folder into
#: "tables" on the run, and the file of the whole table into "data".
#: hint: A dataset is made from a table with `mlflow.data.from_pandas`; `mlflow.log_input` puts it
#: on the run. `log_artifacts` takes a folder, `log_artifact` one file.
#: hint: `dataset = mlflow.data.from_pandas(train, name="wine-train", targets="quality")`,
#: `mlflow.log_input(dataset, context="training")`,
#: `mlflow.log_artifacts(tables, artifact_path="tables")`,
#: `mlflow.log_artifact(data_file, artifact_path="data")`
dataset = mlflow.data.from_pandas(train, name="wine-train", targets="quality")
mlflow.log_input(dataset, context="training")
mlflow.log_artifacts(tables, artifact_path="tables")
mlflow.log_artifact(data_file, artifact_path="data")
