"""The measurement: which models are attacked, which are evaluated on whose images, in which order."""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from operator import attrgetter

import numpy as np

from sat_exp.attacks import Attack
from sat_exp.datasets import ImageSet
from sat_exp.engine import Engine, Local, Piece
from sat_exp.errors import UserError
from sat_exp.measurement.division import attack_parts, room, source_groups, target_groups
from sat_exp.measurement.dropping import ADVERSARIAL, Blocks
from sat_exp.measurement.loaded import forget
from sat_exp.measurement.outputs import Computed, OutputStage
from sat_exp.measurement.scheduling import Schedule, Steps, Task, repaired
from sat_exp.measurement.stages import Stages
from sat_exp.measurement.subjects import Direction, Measured, Source, Subject, View, Views
from sat_exp.models import Candidate
from sat_exp.modules.clock import Seconds
from sat_exp.modules.hardware import BYTES, Hardware
from sat_exp.progress import Advance, ignored, progress
from sat_exp.similarity.measures import Outputs
from sat_exp.store import Store, key_of


@dataclass(frozen=True)
class Targets:
    """Models that are loaded together as targets."""

    models: Sequence[Subject]

    @property
    def name(self) -> str:
        return ", ".join(model.name for model in self.models)


@dataclass
class Measurement:
    """Measures models on `images` under `attack`; everything random is drawn from `seed`.

    labels: which images are attacked: `truth`, those that the model classifies as labelled; `consensus` and `own`, all.
    protocol: `canvas`, all models on the image set's canvas; `native`, each on its own resize, crop and input size.
    adversarial: whether adversarial images stay in the store: `keep`, or `drop`, see `dropping`.
    engine: does the work. outputs: what is computed of the models for measures alone.
    timings: seconds by stage. seconds: those of this command, by model and activity, see `clock`.
    """

    images: ImageSet
    attack: Attack
    store: Store
    hardware: Hardware
    seed: int
    labels: str = "truth"
    protocol: str = "canvas"
    engine: Engine = field(default_factory=Local)
    adversarial: str = "keep"
    outputs: frozenset[Outputs] = frozenset()
    timings: dict[str, float] = field(default_factory=dict)
    seconds: Seconds = field(default_factory=Counter)

    def __post_init__(self) -> None:
        if self.labels == "truth" and self.images.labels is None:
            raise UserError(
                f"the data set {self.images.name} has no labels: give labels=consensus (images on which two models "
                "agree) or labels=own (all images, each model's own prediction for the label)"
            )

    @cached_property
    def views(self) -> Views:
        return Views(self.images, self.protocol, self.store, self.hardware)

    @cached_property
    def stages(self) -> Stages:
        facts, choices = self.views.facts, (self.hardware, self.seed, self.labels)
        return Stages(facts, self.protocol, self.attack, self.store, *choices, self.room)

    @property
    def room(self) -> float:
        """Bytes for models that a process keeps loaded."""
        return room(self.hardware, self.engine)

    def run(self, candidates: Sequence[Candidate], directions: Collection[Direction] | None = None) -> Measured:
        """Attack every source of `directions` and evaluate its targets on the adversarial images. directions: (source,
        target) names, by default all pairs of `candidates`; a source is always evaluated on its own images too. A model
        that fails is left out and named in `failures`. UserError where no result is left."""
        check_models(candidates, self.images, self.attack, labels=self.labels, protocol=self.protocol)
        names = [candidate.name for candidate in candidates]
        wanted = {(a, b) for a in names for b in names} if directions is None else set(directions)
        wanted |= {(source, source) for source, _ in wanted}
        return repaired(self.store, lambda: self.measured(candidates, wanted))

    def measured(self, candidates: Sequence[Candidate], wanted: set[Direction]) -> Measured:
        """The stages, one after the other."""
        self.timings.clear()
        self.seconds.clear()
        self.stages.failed.clear()
        schedule = Schedule(self.store, self.engine)
        with self.timed("images"):
            views = self.decode(candidates, schedule)
        try:
            with self.engine:
                ways = {"keep": self.at_once, "drop": self.in_blocks}
                subjects = ways[self.adversarial](candidates, views, wanted, schedule)
                computed = self.compute_outputs(subjects, schedule)
        finally:
            forget()
        with self.timed("read back"):
            return replace(self.read_back(subjects, wanted, schedule), outputs=computed)

    def at_once(
        self, candidates: Sequence[Candidate], views: dict[str, View], wanted: set[Direction], schedule: Schedule
    ) -> list[Subject]:
        """All attacks, then all targets; the adversarial images are kept."""
        with self.store.reading(ADVERSARIAL):
            with self.timed("attack"):
                subjects = self.attack_sources(candidates, views, {source for source, _ in wanted}, schedule)
            with self.timed("transfer"):
                self.evaluate_targets(subjects, wanted, schedule)
        return subjects

    def in_blocks(
        self, candidates: Sequence[Candidate], views: dict[str, View], wanted: set[Direction], schedule: Schedule
    ) -> list[Subject]:
        """All clean predictions, then the attacks and the targets of some sources at a time."""
        with self.timed("attack"), progress("clean", len(candidates)) as bar:

            def steps(candidate: Candidate) -> Steps[Subject]:
                subject = yield from self.classified(candidate, views[candidate.name])
                bar(1)
                return subject

            subjects = schedule.each([one for one in candidates if one.name in views], steps, ignored)
        return Blocks(self, wanted, schedule).measured(subjects)

    def decode(self, candidates: Sequence[Candidate], schedule: Schedule) -> dict[str, View]:
        """The view of the images that each model has, by its name; the pixels of each canvas are decoded once."""
        canvases = {}
        for candidate in candidates:
            with schedule.attempt(candidate.name):
                canvases[candidate.name] = self.views.canvas(candidate)
        views = {canvas: self.views.view(canvas) for canvas in dict.fromkeys(canvases.values())}
        return {name: views[canvas] for name, canvas in canvases.items()}

    def attack_sources(
        self, candidates: Sequence[Candidate], views: dict[str, View], sources: set[str], schedule: Schedule
    ) -> list[Subject]:
        """The clean predictions of each model, and for `sources` the adversarial images."""
        with progress("attack", len(sources) * len(self.images)) as bar:

            def steps(candidate: Candidate) -> Steps[Subject]:
                attacked = candidate.name in sources
                return self.attacked(candidate, views[candidate.name], bar if attacked else None)

            return schedule.each([one for one in candidates if one.name in views], steps, bar)

    def attacked(self, candidate: Candidate, view: View, bar: Advance | None) -> Steps[Subject]:
        """Clean predictions; unless `bar` is None also adversarial images."""
        subject = yield from self.classified(candidate, view)
        return subject if bar is None else (yield from self.perturbed(subject, bar))

    def classified(self, candidate: Candidate, view: View) -> Steps[Subject]:
        """Clean predictions."""
        clean = Piece(f"{candidate.name}: clean images", partial(self.stages.clean, candidate, view))
        ((found, seconds),) = yield [Task(clean, self.lock_of(candidate))]
        self.seconds.update(seconds)
        return replace(found, candidate=candidate, view=view, logits=self.store.adopt(found.logits))

    def perturbed(self, subject: Subject, bar: Advance, *, complete: bool = False) -> Steps[Source]:
        """Adversarial images, in parts, and their check. complete: none are needed."""
        source, lock = self.stages.source(subject), self.lock_of(subject.candidate)
        parts, adversarial = [] if complete else self.parts(source), source.adversarial
        bar(len(self.images) - sum(adversarial.length(chunk) for part in parts for chunk in part))
        for seconds in (yield [Task(self.attack_on(part, source), (*lock, str(part))) for part in parts]):
            self.seconds.update(seconds)
        check = Piece(
            f"{source.name}: check of its adversarial images", partial(self.stages.verify, source), light=True
        )
        (warnings,) = yield [Task(check, lock)]
        return replace(source, warnings=[*source.warnings, *warnings])

    def lock_of(self, candidate: Candidate) -> tuple[str, ...]:
        """The lock of work on a model alone."""
        attack = key_of(self.stages.attack_facts() | {"seed": self.seed})
        return "attack", key_of(candidate.facts), attack

    def attack_on(self, part: range, source: Source) -> Piece:
        """The attack of a source on the images of some chunks."""
        spans = [source.adversarial.span(chunk) for chunk in part]
        first, stop, count = spans[0].start, spans[-1].stop, sum(span.stop - span.start for span in spans)
        name = f"{source.name}: attack on images {first} to {stop - 1}"

        def stored() -> int:
            return len({*part}.difference(source.adversarial.missing()))

        return Piece(name, partial(self.stages.generate, source, part), count, stored)

    def parts(self, source: Source) -> list[range]:
        """The chunks of adversarial images that are to be made, in parts of about the seconds that the engine wants."""
        array, missing = source.adversarial, set(source.adversarial.missing())
        steps = max(1, self.attack.gradients)
        parts = attack_parts(self.engine, array.chunks, array.chunk, steps, source.image_seconds)
        return [part for part in parts if missing.intersection(part)]

    def evaluate_targets(self, subjects: Sequence[Subject], wanted: set[Direction], schedule: Schedule) -> None:
        """The predictions of all targets for the adversarial images of their sources."""
        left = [subject for subject in subjects if subject.name not in schedule.failures]
        images = sum(len(source.rows) for each in sources_of(left, wanted).values() for source in each)
        with progress("transfer", images) as bar:
            self.shown(left, wanted, schedule, bar)

    def shown(self, subjects: Sequence[Subject], wanted: set[Direction], schedule: Schedule, bar: Advance) -> None:
        """As `evaluate_targets`, with progress on `bar`. The slowest targets come first, so that the last pieces of
        work are short."""
        left = [subject for subject in subjects if subject.name not in schedule.failures]
        groups, sources = self.groups(left), sources_of(left, wanted)

        def steps(targets: Targets) -> Steps[None]:
            return self.evaluated(targets, sources, schedule)

        schedule.each([Targets(group) for group in groups], steps, bar, size=lambda targets: 0)
        for group in groups:
            if why := schedule.failures.pop(Targets(group).name, None):
                schedule.failures |= dict.fromkeys((target.name for target in group), why)

    def groups(self, targets: Sequence[Subject]) -> list[list[Subject]]:
        """The targets in groups that are loaded together, the slowest first."""
        width = BYTES.get(self.hardware.precision, 4)
        slowest_first = sorted(targets, key=attrgetter("image_seconds"), reverse=True)
        return target_groups(self.engine, slowest_first, lambda model: width * model.parameters, self.room)

    def evaluated(self, targets: Targets, sources: dict[str, list[Source]], schedule: Schedule) -> Steps[None]:
        """The predictions of some targets that are loaded together, for some sources at a time."""
        wanted: dict[str, tuple[Source, list[Subject]]] = {}
        for target in targets.models:
            for source in sources[target.name]:
                wanted.setdefault(source.name, (source, []))[1].append(target)
        most = max((len(source.rows) for source, _ in wanted.values()), default=0)
        image_seconds = sum(target.image_seconds for target in targets.models)
        groups = source_groups(self.engine, [*wanted.values()], most, image_seconds)
        for done in (yield [self.predictions_for(group) for group in groups]):
            self.seconds.update(done.seconds)
            for name, why in done.failures.items():
                schedule.fail(name, why)

    def predictions_for(self, pairs: Sequence[tuple[Source, Sequence[Subject]]]) -> Task:
        """The predictions of the targets of each source for its adversarial images."""
        targets = {target.name: target for _, several in pairs for target in several}
        sources = [source for source, _ in pairs]
        name = f"{', '.join(targets)}: predictions for {', '.join(source.name for source in sources)}"
        count = sum(len(source.rows) * len(several) for source, several in pairs)

        def stored() -> int:
            rows = (self.stages.predictions(source, target) for source, several in pairs for target in several)
            return sum(not row.missing() for row in rows)

        piece = Piece(name, partial(self.stages.evaluate, pairs), count, stored)
        numbers = (f"{each.fingerprint} {each.view.pixels.key}" for each in (*targets.values(), *sources))
        return Task(piece, ("evaluate", *numbers))

    def compute_outputs(self, subjects: Sequence[Subject], schedule: Schedule) -> Computed:
        """What measures need of each model besides predictions."""
        computed: Computed = {}
        if not self.outputs:
            return computed
        stage, wanted = OutputStage(self.stages), sorted(self.outputs, key=str)
        left = [subject for subject in subjects if subject.name not in schedule.failures]
        with self.timed("outputs"), progress("outputs", len(left)) as bar:

            def steps(subject: Subject) -> Steps[None]:
                yield from stage.steps(subject, wanted, computed, self.seconds)
                bar(1)

            schedule.each(left, steps, ignored)
        return computed

    def read_back(self, subjects: Sequence[Subject], wanted: set[Direction], schedule: Schedule) -> Measured:
        """All predictions from the store; UserError where models failed and no pair is left, or no model."""
        left = [subject for subject in subjects if subject.name not in schedule.failures]
        ways = [(source, target) for target in left for source in sources_of(left, wanted)[target.name]]
        pairs_wanted = any(source != target for source, target in wanted)
        if schedule.failures and not any(source is not target or not pairs_wanted for source, target in ways):
            reasons = [f"{name} failed: {reason}" for name, reason in schedule.failures.items()]
            raise UserError("; ".join(reasons) if len(reasons) > 1 else next(iter(schedule.failures.values())))
        return Measured(
            models=left,
            predictions={
                (source.name, target.name): source.of_all_images(self.stages.predictions(source, target).read_all())
                for source, target in ways
            },
            reference={(source.name, target.name): self.unattacked(source, target) for source, target in ways},
            failures=schedule.failures,
            timings=self.timings,
            seconds=self.seconds,
            warnings=[warning for subject in left for warning in subject.warnings],
        )

    def unattacked(self, source: Source, target: Subject) -> np.ndarray:
        """The classes that `target` predicts for the clean images in the view of `source`, int64 [N]."""
        if source.view.digest == target.view.digest:
            return target.clean
        return self.stages.predictions(source.view, target).read_all().astype(np.int64)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.timings[stage] = self.timings.get(stage, 0.0) + time.perf_counter() - started


def check_models(
    candidates: Sequence[Candidate], images: ImageSet, attack: Attack, *, labels: str, protocol: str
) -> None:
    """UserError for two models of one name, and for a model whose classes or channels are not those of the images or,
    as far as `labels` and the attack's goals compare them, of the other models."""
    names = [candidate.name for candidate in candidates]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise UserError(f"{', '.join(sorted(repeated))} is named twice: give each model once, or another model.name")
    first = candidates[0]
    for candidate in candidates:
        if labels == "truth" and candidate.label_space != images.label_space:
            raise UserError(
                f"model {candidate.name} predicts {candidate.label_space}, the data set {images.name} is labelled "
                f"{images.label_space}: choose a fitting dataset= or model="
            )
        if labels == "truth" and candidate.classes != len(images.class_names):
            raise UserError(
                f"model {candidate.name} has {candidate.classes} classes, the data set {images.name} "
                f"{len(images.class_names)}: choose models and images of the same classes"
            )
        spaces = f"model {candidate.name} predicts {candidate.label_space}, {first.name} {first.label_space}"
        if labels == "consensus" and candidate.label_space != first.label_space:
            raise UserError(f"{spaces}: they can never agree; give labels=own")
        if attack.threat.targeted and candidate.label_space != first.label_space:
            raise UserError(f"{spaces}: the goal class of one is no class of the other; choose an untargeted attack=")
        if protocol == "canvas" and (channels := len(candidate.preprocessing.mean)) != images.shape[0]:
            raise UserError(
                f"model {candidate.name} takes images of {channels} channels, {images.name} has {images.shape[0]}: "
                "choose a fitting dataset=, or dataset.mode="
            )


def sources_of(subjects: Sequence[Subject], wanted: set[Direction]) -> dict[str, list[Source]]:
    """For each model as a target the sources on whose adversarial images it is evaluated."""
    attacked = [subject for subject in subjects if isinstance(subject, Source)]
    return {target.name: [source for source in attacked if (source.name, target.name) in wanted] for target in subjects}
