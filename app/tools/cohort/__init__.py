"""A synthetic cohort: journeys drawn from rates with a seed, told as the events that the feeds of a centre would send.

Nothing here is about a person. `rates.toml` says what is drawn and where each number comes from; the JSON files are feeds of
whole encounters of which a journey takes the parts it needs.
"""

from app.tools.cohort.feeds import tell
from app.tools.cohort.rates import Rates, read_rates
from app.tools.cohort.sampling import Journey, draw

__all__ = ["Journey", "Rates", "draw", "read_rates", "tell"]
