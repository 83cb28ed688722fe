from minuted_daemon.adapters.storage.store import SqlStore
from minuted_daemon.core.records import TurnLife, WallPoint
from minuted_daemon.core.samples import Sample
from minuted_daemon.ports.store import ResumePoint
from tests.adapters.storage.examples import SESSION, interval, session, speaker, turn


async def test_a_fresh_session_begins_at_its_beginning(store: SqlStore) -> None:
    await store.write([session()])
    assert await store.resume_point(SESSION) == ResumePoint(Sample(0), Sample(0), None, ())
    assert list(await store.wall_points(SESSION)) == []


async def test_the_clock_goes_on_behind_all_that_is_stored(store: SqlStore) -> None:
    people = [speaker(number) for number in (10, 2)]
    *_, ten, two = await store.write([session(heard=Sample(5)), *people])
    for record, end in (
        (turn(1, start=Sample(10), end=Sample(20)), 20),
        (turn(2, start=Sample(10), end=Sample(40), generation=None), 40),
        (turn(2, start=Sample(10), end=Sample(30), generation=None), 40),  # was longer before
        (interval(1, start=Sample(30), end=Sample(50)), 50),
        (turn(3, start=Sample(10), end=Sample(60), life=TurnLife.RETRACTED), 60),
        (session(heard=Sample(70)), 70),
    ):
        await store.write([record])
        assert (await store.resume_point(SESSION)).end == end
    assert await store.resume_point(SESSION) == ResumePoint(Sample(70), Sample(30), 3, (two, ten))  # type: ignore[arg-type]


async def test_the_highest_generation_counts_though_its_turn_has_changed(store: SqlStore) -> None:
    await store.write([session(), turn(1, generation=9), turn(2, generation=4)])
    await store.write([turn(1, generation=None)])
    assert (await store.resume_point(SESSION)).generation == 9


async def test_wall_points_come_by_sample(store: SqlStore) -> None:
    points = [WallPoint(Sample(number * 100), 1000.0 + number) for number in range(5)]
    await store.write([session()])
    await store.write_wall_points(SESSION, points[3:])
    await store.write_wall_points(SESSION, points[:3])
    assert list(await store.wall_points(SESSION)) == points
