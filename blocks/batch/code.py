# %% run-compare (given)
print('batch')
