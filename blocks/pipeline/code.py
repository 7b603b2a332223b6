# %% import-pipeline
#: import make_pipeline from sklearn.pipeline.
#: hint: The line has the same form as the one that imports `ElasticNet`.
#: hint: `from sklearn.pipeline import make_pipeline`
from sklearn.pipeline import make_pipeline

# %% import-scaler
#: import StandardScaler from sklearn.preprocessing.
#: hint: One more line of the same form.
#: hint: `from sklearn.preprocessing import StandardScaler`
from sklearn.preprocessing import StandardScaler

# %% make-model
#: write make_model(alpha, l1_ratio). It returns a pipeline that isn't
#: fitted yet: a StandardScaler, then an ElasticNet with these settings
#: and random_state=42.
#: hint: `make_pipeline` takes the steps in their order, with commas between them. Don't forget
#: to return it.
#: hint: below `def make_model(alpha, l1_ratio):` write `return make_pipeline(StandardScaler(),
#: ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42))`
def make_model(alpha, l1_ratio):
    """A pipeline: scale each measurement, then fit an ElasticNet."""
    elastic_net = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42)
    return make_pipeline(StandardScaler(), elastic_net)

# %% parser-model (script)
parser.add_argument("--alpha", type=float, nargs="+", default=[0.01, 0.1, 0.2, 0.5, 1.0])
parser.add_argument("--l1-ratio", type=float, default=0.3, help="0 is ridge, 1 is lasso")

# %% model-settings (notebook)
#: the smallest alpha of the list was the best. Add 0.01 and 0.1, to find
#: out whether smaller ones are better still.
#: hint: Two more numbers in the square brackets.
#: hint: `alphas = [0.01, 0.1, 0.2, 0.5, 1.0]`
alphas = [0.01, 0.1, 0.2, 0.5, 1.0]
l1_ratio = 0.3

# %% cross-validate
#: let make_model make the candidate, in place of the
#: plain ElasticNet.
#: hint: The function takes the two settings. The other two lines stay as they are.
#: hint: `candidate = make_model(alpha, l1_ratio)`
candidate = make_model(alpha, l1_ratio)
scoring = "neg_root_mean_squared_error"
scores = cross_val_score(candidate, X_train, y_train, cv=5, scoring=scoring)

# %% model
#: make the final model in the same way as its candidate.
#: hint: Here, `alpha` is the one that was chosen.
#: hint: `model = make_model(alpha, l1_ratio)`
model = make_model(alpha, l1_ratio)
