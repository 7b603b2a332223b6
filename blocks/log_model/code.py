# %% import-mlflow-models
#: import infer_signature from mlflow.models.
#: hint: The line has the same form as those that import from scikit-learn.
#: hint: `from mlflow.models import infer_signature`
from mlflow.models import infer_signature

# %% import-models (as in train, given)

# %% experiment (as in experiment, given)

# %% families (removed, given)

# %% compare (removed, given)

# %% set-experiment (removed, given)

# %% family-run (removed, given)

# %% log-family (removed, given)

# %% comparison (removed, given)

# %% signature
#: still inside the run, infer the signature from the training
#: wines and the predictions for them.
#: hint: `infer_signature` takes what goes in, and what comes out.
#: hint: `signature = infer_signature(X_train, model.predict(X_train))`
signature = infer_signature(X_train, model.predict(X_train))

# %% log-model
#: log the model under the name "model", with the signature, the
#: first five training rows as its example, and the requirements
#: scikit-learn and skops; keep what the call returns as `model_info`.
#: hint: `mlflow.sklearn.log_model` takes the model first, then `name=`, `signature=`,
#: `input_example=` and `pip_requirements=`.
#: hint: `model_info = mlflow.sklearn.log_model(model, name="model", signature=signature,
#: input_example=X_train.head(5), pip_requirements=["scikit-learn", "skops"])`
model_info = mlflow.sklearn.log_model(
    model,
    name="model",
    signature=signature,
    input_example=X_train.head(5),

# %% requirements
    pip_requirements=["scikit-learn", "skops"],
)

# %% show-model
#: print the model's URI.
#: hint: What `log_model` returned knows it.
#: hint: `print("The model is", model_info.model_uri)`
print("The model is", model_info.model_uri)
