"""Room: what a person at a prompt meets: IPython names, live table, plots, Ctrl-C.

In: keys and journals. Out: text. Imports: `client`. Not here: the command line (`cli`).
Nothing is imported here: moves and readings need no plots.
"""
