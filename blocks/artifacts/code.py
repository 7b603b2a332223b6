# %% read
#: read the table as before, and turn all columns into float64.
#: hint: A table has a method that changes the type of its columns. Add it to the end of the line,
#: after another dot.
#: hint: `wine = pd.read_csv(data_file, sep=";").drop_duplicates().astype("float64")`
wine = pd.read_csv(data_file, sep=";").drop_duplicates().astype("float64")

# %% tables
#: write the training and the test table, with their quality, into the
#: course's folder output/tables, as train.csv and test.csv.
#: hint: `wine.loc[X_train.index]` selects the training rows, with all columns. Make the folder
#: before you write: which two arguments of `mkdir` let you run the cell twice? `to_csv` writes a
#: table; leave the row numbers out.
#: hint: `tables = course / "output" / "tables"`, then `tables.mkdir(parents=True, exist_ok=True)`.
#: For the training table, `train = wine.loc[X_train.index]` and `train.to_csv(tables / "train.csv",
#: index=False)`; the same for the test table.
tables = course / "output" / "tables"
tables.mkdir(parents=True, exist_ok=True)
train = wine.loc[X_train.index]
test = wine.loc[X_test.index]
train.to_csv(tables / "train.csv", index=False)
test.to_csv(tables / "test.csv", index=False)

# %% log-data
#: inside the run, log the training table as a dataset: its name is
#: "wine-train", its target "quality", its context "training". Then
#: log the folder into the run's folder "tables", and the file that
#: was read into the run's folder "data".
#: hint: First make a dataset from the table, with `mlflow.data.from_pandas`; then log it. Of the
#: two calls for artifacts, the one with an s takes a folder.
#: hint: `dataset = mlflow.data.from_pandas(train, name="wine-train", targets="quality")`,
#: `mlflow.log_input(dataset, context="training")`,
#: `mlflow.log_artifacts(tables, artifact_path="tables")`,
#: `mlflow.log_artifact(data_file, artifact_path="data")`
dataset = mlflow.data.from_pandas(train, name="wine-train", targets="quality")
mlflow.log_input(dataset, context="training")
mlflow.log_artifacts(tables, artifact_path="tables")
mlflow.log_artifact(data_file, artifact_path="data")
