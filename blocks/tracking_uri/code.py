# %% tracking-uri
#: set the tracking URI to the file mlflow.db in the course's folder,
#: as an absolute SQLite address.
#: hint: An SQLite address is `sqlite:///` and then the file. `course` is a path, so
#: `course / "mlflow.db"` is the file; `as_posix()` writes it with forward slashes.
#: hint: `store = (course / "mlflow.db").as_posix()`, then
#: `mlflow.set_tracking_uri(f"sqlite:///{store}")`
store = (course / "mlflow.db").as_posix()
mlflow.set_tracking_uri(f"sqlite:///{store}")
