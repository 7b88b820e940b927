"""Reads kept originals again with the current mapping, for a replay from quarantine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from domain.billing.x12 import entries as answers
from domain.events import InvalidEvent, Problem
from intake.faults import NotHl7, NotUsable, Unsupported
from intake.fhir import receiver as fhir
from intake.hl7.message import read_text
from intake.hl7.translate import Merge, translate
from intake.inbox.merge_records import merge_in
from intake.inbox.receive import Reader, Reading
from intake.payer_files.importer import X12, PayerFileImporter
from intake.site_mapping import Feed, SiteMapping
from store.engine import Session
from store.keys import Keyring

NO_EVENT = "the mapping makes no event of it"


def reader_of(mapping: Callable[[], SiteMapping], replies: PayerFileImporter | None = None) -> Reader:
    """A reader of kept HL7 messages, FHIR resources and payer response files; loads the mapping at each use."""

    def read_again(raw: str, kind: str, feed: str) -> Reading:
        if kind == X12:
            return _x12(raw, replies)
        try:
            reading = _fhir(raw, feed, mapping()) if kind.startswith(fhir.KIND) else _hl7(raw, mapping())
        except (NotHl7, NotUsable, Unsupported) as error:
            raise _invalid(str(error)) from None
        if not reading.events and reading.merge is None:
            raise _invalid(NO_EVENT)
        return reading

    return read_again


def _x12(raw: str, replies: PayerFileImporter | None) -> Reading:
    if replies is None:
        raise _invalid("this gateway has no site file; files of answers are read by its time zone")
    try:
        events = replies.events(raw.encode("latin-1"))
    except answers.NotUsable as error:
        raise _invalid(str(error)) from None
    return Reading(tuple(events), None, None)


def _hl7(raw: str, mapping: SiteMapping) -> Reading:
    message = read_text(raw)
    feed = mapping.feed_of(*message.sender)
    if feed is None:
        raise NotUsable("MSH-3 and MSH-4: this sender is not in the mapping file")
    translated = translate(message, feed, mapping)
    merge = _merge(translated.merges, feed)
    return Reading(translated.events, translated.hint, feed.facilities, merge, translated.also)


def _merge(merges: tuple[Merge, ...], feed: Feed) -> Callable[[Session, Keyring, datetime], object] | None:
    if not merges:
        return None
    if any(merge.facility not in feed.facilities for merge in merges):
        raise NotUsable("PID-3: its sender may not write for this facility")

    def make(session: Session, keys: Keyring, now: datetime) -> None:
        for one in merges:
            merge_in(session, keys, one.old, one.new, one.facility, feed.name, now)

    return make


def _fhir(raw: str, name: str, mapping: SiteMapping) -> Reading:
    feed = mapping.fhir_feed(name)
    if feed is None:
        raise NotUsable("the mapping file has no fhir_feeds entry of this name")
    return fhir.read_again(raw, feed, mapping)


def _invalid(message: str) -> InvalidEvent:
    return InvalidEvent((Problem(path="(message)", message=message),))
