"""A synthetic cohort: journeys drawn from rates with a seed, as the events that a treatment center's feeds would send.

No data are about a real person. `rates.toml` has the rates with their sources; the JSON files are feeds of whole encounters,
from which a journey uses parts.
"""

from app.tools.cohort.feeds import events_of
from app.tools.cohort.rates import Rates, read_rates
from app.tools.cohort.sampling import Journey, draw

__all__ = ["Journey", "Rates", "draw", "events_of", "read_rates"]
