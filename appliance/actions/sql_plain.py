"""Whether a query surely only looks: ``SELECT`` with nothing in it but what PostgreSQL itself computes.

The server's read-only transaction keeps a query from changing tables, and from nothing else: functions end other
sessions, reach other servers, write files, and COPY starts programs. So what is not known here acts, and passes the
whole gate. What the owner of the database put behind a view, an operator or a type is not looked at.
"""

import re
from functools import lru_cache

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\r\n]*)
  | (?P<value>'(?:[^']|'')*'|%\(\w+\)s|\d[\w.]*)
  | "(?P<quoted>(?:[^"]|"")+)"
  | (?P<word>[^\W\d]\w*)
  | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_STARTS = frozenset({"select", "with", "values", "table"})
# A back slash or a dollar sign may begin or end a text in ways that depend on the server; comments nest.
_UNSURE = re.compile(r"[\\$\x00]|/\*|\b[uU]&[\"']")

# Words that no function can be called, and those that can, with what stands before them where they are none.
_KEYWORDS = """
all and any array as between case distinct else except exists from group having in intersect lateral limit not
offset on or select some then union using values when where window with
"""
_BEFORE_A_PARENTHESIS = frozenset(_KEYWORDS.split())
_ONLY_AFTER = {
    "filter": {")"}, "over": {")"}, "sets": {"grouping"}, "materialized": {"as", "not"},
    "by": {"group", "order", "partition"}, "cube": {"by"}, "rollup": {"by"},
}  # fmt: skip
_AFTER_AN_OPERAND = frozenset({"like", "ilike", "join"})
_OWN_FUNCTIONS = """
array_agg avg bit_and bit_or bool_and bool_or corr count every json_agg json_object_agg jsonb_agg
jsonb_object_agg max min mode percentile_cont percentile_disc regr_slope regr_intercept regr_r2 stddev
stddev_pop stddev_samp string_agg sum var_pop var_samp variance

cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number

abs acos asin atan atan2 cbrt ceil ceiling cos degrees div exp floor gcd greatest lcm least ln log log10 mod
nullif pi power radians random round sign sin sqrt tan trunc width_bucket

ascii bit_length btrim char_length character_length chr coalesce concat concat_ws decode encode format initcap
left length lower lpad ltrim md5 octet_length overlay position quote_ident quote_literal quote_nullable
regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table repeat replace reverse
right rpad rtrim sha256 split_part starts_with strpos substr substring to_hex translate trim upper

age clock_timestamp current_date current_time current_timestamp date date_bin date_part date_trunc extract
isfinite justify_days justify_hours justify_interval localtime localtimestamp make_date make_interval make_time
make_timestamp make_timestamptz now statement_timestamp to_char to_date to_number to_timestamp
transaction_timestamp

array_append array_cat array_dims array_length array_lower array_ndims array_position array_positions
array_prepend array_remove array_replace array_to_string array_upper cardinality string_to_array unnest
generate_series generate_subscripts row cast

json_array_elements json_array_elements_text json_array_length json_build_array json_build_object json_each
json_each_text json_extract_path json_extract_path_text json_object json_object_keys json_strip_nulls
json_typeof jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array
jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_object
jsonb_object_keys jsonb_path_exists jsonb_path_query jsonb_path_query_array jsonb_path_query_first
jsonb_strip_nulls jsonb_typeof row_to_json to_json to_jsonb

bit char character decimal interval numeric time timestamp timestamptz varbit varchar varying

gen_random_uuid grouping num_nonnulls num_nulls
"""
_FUNCTIONS = frozenset(_OWN_FUNCTIONS.split())


@lru_cache(maxsize=512)
def only_looks(query: str) -> bool:
    """Whether ``query``, with its places for values, is surely such a one."""
    if _UNSURE.search(query):
        return False
    words: list[str] = []
    for found in _TOKEN.finditer(query):
        kind, text = found.lastgroup, found[0]
        if kind == "space":
            continue
        if text in ("'", '"'):
            return False  # one that does not end
        words.append(text.lower() if kind in ("word", "sign") else "''" if kind == "value" else text)
    while words and words[-1] == ";":
        words.pop()
    first = next((word for word in words if word != "("), "")
    if first not in _STARTS or ";" in words:
        return False
    return not any(map(_calls, ["", "", *words], ["", *words], words))


def _calls(before_last: str, last: str, word: str) -> bool:
    """Whether an opening parenthesis follows what may be a function that is not known here."""
    if word != "(" or not (last.startswith('"') or last[:1].isidentifier()):
        return False
    if before_last == "." or last.startswith('"'):
        return True  # of a schema, or of a name that somebody chose
    if before_last == "as" or last in _FUNCTIONS or last in _BEFORE_A_PARENTHESIS:
        return False  # after AS comes the name of a column, table or type
    if last in _AFTER_AN_OPERAND:
        ends = before_last == ")" or before_last.startswith('"') or before_last.isidentifier()
        return not ends or before_last in _BEFORE_A_PARENTHESIS
    return before_last not in _ONLY_AFTER.get(last, ())
