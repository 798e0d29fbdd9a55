"""Sub-room: families. The declared plans as data, one module for each house they come from.

Each plan is a `DeclaredPlan`: its arguments, words and how it is built. Their modules import no
numpy: geometry is imported when a plan is built.
"""
