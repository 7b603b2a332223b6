# %% run-compare (given)
print('pipeline_steps')
