# %% run-compare (given)
print('challenger')
