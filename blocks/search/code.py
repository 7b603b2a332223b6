# %% run-compare (given)
print('search')
