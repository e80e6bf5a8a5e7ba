"""How much a template may ask for; beyond it there is a TemplateError.

Steps are the currency: a statement, a reference or an element costs one, and making or looking through a text
one for every CHARACTERS_A_STEP characters (ELEMENTS_A_STEP elements).  So they bound time and memory, not
only loops.
"""

TEMPLATE_CHARACTERS_MAX = 300 * 1024  # API Gateway's
LOOP_ITERATIONS_MAX = 1000  # of one #foreach: API Gateway's
STEPS_MAX = 500_000
CHARACTERS_A_STEP = 250
ELEMENTS_A_STEP = 10
OUTPUT_CHARACTERS_MAX = 10 * 1024 * 1024
STRING_CHARACTERS_MAX = 10 * 1024 * 1024
ELEMENTS_MAX = 100_000  # of a list or map that a template builds
NESTING_MAX = 40  # blocks, parentheses, literals and calls inside one another, in the template's text
DEFINE_DEPTH_MAX = 2  # a #define block inside itself: Velocity's
DEFINES_DEPTH_MAX = 20  # one #define block inside another
VALUE_DEPTH_MAX = 150  # lists and maps inside one another, where they are printed or compared
JSON_DEPTH_MAX = 500  # the same where they are written as JSON
INTEGER_BITS_MAX = 1000
PATHS_KEPT_MAX = 256  # JSONPath expressions of a template, compiled
PATTERNS_KEPT_MAX = 64  # regular expressions of a template, compiled
