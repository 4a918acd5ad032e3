"""What a request gives its script to call, as it says it. `tools` makes of it what is called, when a script first asks for that: most
that could call do not.
"""

# The names under which it is imported. They are no modules of the script's.
GIVEN_MODULES = "cloister", "cloister.tools"

# The JSON of the tools, the largest arguments of a call in bytes and how many calls may be made, if there are any; and the process that
# may make them.
given_calls = [None, None]
