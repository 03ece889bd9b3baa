"""Training the model of two towers: from ratings to the rows that `model.two_tower` publishes.

features.py       what is known of users and items, as rows of tables
item_raters.py    who has rated an item, and how
offsets.py        means of users and items, which the towers learn the rest of
user_batches.py   batches of whole users
rating_towers.py  the towers that predict ratings
choice_towers.py  the towers that predict what a user chooses to rate
fitting.py        epochs, validation, checkpoints
recipe.py         sizes and rates
train.py          all of it, in its order
"""
