# %% import-joblib
#: import joblib.
#: hint: It saves and loads scikit-learn models; scikit-learn brings it along.
#: hint: `import joblib`
import joblib

# %% output (given)
output = course / "output"
output.mkdir(exist_ok=True)

# %% model-code
#: write the file wine_model.py into the folder `output`, and keep its
#: path as `model_code`. The file is a small program, given as a text
#: between three quotes, from the left edge: its imports (joblib,
#: mlflow, pandas as pd), a class SklearnWrapper with load_context and
#: predict, and set_model. The model is the artifact "sklearn_model".
#: hint: Take the text of the lesson's example, and change it: `load_context` loads the file whose
#: path is `context.artifacts["sklearn_model"]` with `joblib.load`; `predict` asks what was loaded.
#: `write_text` puts a text into a file.
#: hint: `model_code = output / "wine_model.py"`, then `model_code.write_text(` and the text between
#: `'''` and `'''`, then `, encoding="utf-8")`. In the text,
#: `self.model = joblib.load(context.artifacts["sklearn_model"])` is the body of
#: `def load_context(self, context):`, and `return self.model.predict(model_input)` that of
#: `def predict(self, context, model_input: pd.DataFrame):`. The last line, at the left edge, is
#: `mlflow.models.set_model(SklearnWrapper())`.
model_code = output / "wine_model.py"
model_code.write_text(
    '''"""The wine model: what MLflow stores, and a server runs."""

import joblib
import mlflow
import pandas as pd


class SklearnWrapper(mlflow.pyfunc.PythonModel):
    """A scikit-learn model behind the one face that all MLflow models have."""

    def load_context(self, context):
        self.model = joblib.load(context.artifacts["sklearn_model"])

    def predict(self, context, model_input: pd.DataFrame):
        return self.model.predict(model_input)


mlflow.models.set_model(SklearnWrapper())
''',
    encoding="utf-8",
)

# %% save-model
#: save the fitted model as sklearn_model.joblib, in the folder output.
#: hint: `joblib.dump` takes the model and the file.
#: hint: `joblib.dump(model, output / "sklearn_model.joblib")`
joblib.dump(model, output / "sklearn_model.joblib")

# %% log-model
#: log a pyfunc model instead of the scikit-learn one: its code is
#: the file, its artifact "sklearn_model" the saved model. Name,
#: signature and example stay; it requires joblib, pandas and
#: scikit-learn.
#: hint: `mlflow.pyfunc.log_model` takes `python_model=`, the file of the code, and `artifacts=`, a
#: dictionary of names and paths; a path must be a text here. It takes no model: the first line
#: within the brackets goes.
#: hint: `mlflow.pyfunc.log_model(name="model", python_model=model_code,
#: artifacts={"sklearn_model": str(output / "sklearn_model.joblib")}, ...)`
model_info = mlflow.pyfunc.log_model(
    name="model",
    python_model=model_code,
    artifacts={"sklearn_model": str(output / "sklearn_model.joblib")},
    signature=signature,
    input_example=X_train.head(5),

# %% requirements
    pip_requirements=["joblib", "pandas", "scikit-learn"],
)
