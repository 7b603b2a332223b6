# %% import-joblib
#: import joblib.
#: hint: It saves and loads scikit-learn models; scikit-learn brings it along.
#: hint: `import joblib`
import joblib

# %% output (given)
output = course / "output"
output.mkdir(exist_ok=True)

# %% model-file (given, notebook)
%%writefile ../output/wine_model.py

# %% model-file (given, script)
MODEL_CODE = '''\

# %% model-code
#: write the model's file: its imports (joblib, mlflow, pandas as pd), a
#: class WineModel with load_context and predict, and set_model. predict
#: clips what the pipeline says to the scale of 0 to 10, and rounds it
#: if the param "round" is true.
#: hint: Take the lesson's example, and change it: `load_context` loads the file whose path is
#: `context.artifacts["pipeline"]` with `joblib.load`; `predict` asks what was loaded. An array has
#: `clip` and `round`.
#: hint: `self.pipeline = joblib.load(context.artifacts["pipeline"])` is the body of
#: `def load_context(self, context):`. In `def predict(self, context, model_input: pd.DataFrame,
#: params=None):` stand `quality = self.pipeline.predict(model_input).clip(0, 10)` and
#: `return quality.round() if params and params["round"] else quality`. The last line, at the left
#: edge, is `mlflow.models.set_model(WineModel())`.
"""The wine model: what MLflow stores, and a server runs."""

import joblib
import mlflow
import pandas as pd


class WineModel(mlflow.pyfunc.PythonModel):
    """The pipeline, with its predictions on the scale of 0 to 10."""

    def load_context(self, context):
        self.pipeline = joblib.load(context.artifacts["pipeline"])

    def predict(self, context, model_input: pd.DataFrame, params=None):
        quality = self.pipeline.predict(model_input).clip(0, 10)
        return quality.round() if params and params["round"] else quality


mlflow.models.set_model(WineModel())

# %% model-end (given, script)
'''
(output / "wine_model.py").write_text(MODEL_CODE, encoding="utf-8")

# %% save-model
#: save the fitted pipeline as pipeline.joblib, in the folder output.
#: hint: `joblib.dump` takes the model and the file.
#: hint: `joblib.dump(model, output / "pipeline.joblib")`
joblib.dump(model, output / "pipeline.joblib")

# %% signature
#: tell the signature about the param "round", which is False unless
#: somebody sets it.
#: hint: `infer_signature` takes a third argument, `params=`: a dictionary of names and defaults.
#: hint: `signature = infer_signature(X_train, model.predict(X_train), params={"round": False})`
signature = infer_signature(X_train, model.predict(X_train), params={"round": False})

# %% log-model
#: log a pyfunc model instead of the scikit-learn one: its code is the
#: file wine_model.py in `output`, its artifact "pipeline" the saved
#: pipeline. Name, signature and example stay; it requires joblib,
#: pandas and scikit-learn.
#: hint: `mlflow.pyfunc.log_model` takes `python_model=`, the file of the code, and `artifacts=`, a
#: dictionary of names and paths; a path must be a text here. It takes no model: the first line
#: within the brackets goes.
#: hint: `mlflow.pyfunc.log_model(name="model", python_model=output / "wine_model.py",
#: artifacts={"pipeline": str(output / "pipeline.joblib")}, ...)`
model_info = mlflow.pyfunc.log_model(
    name="model",
    python_model=output / "wine_model.py",
    artifacts={"pipeline": str(output / "pipeline.joblib")},
    signature=signature,
    input_example=X_train.head(5),

# %% requirements
    pip_requirements=["joblib", "pandas", "scikit-learn"],
)
