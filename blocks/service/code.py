# %% run-compare (given)
print('service')
