"""`s3vpce deploy` and `undeploy`: the kept functions of an inventory, all at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from pytest_s3vpce.errors import RunError, S3VpceError
from pytest_s3vpce.run.deployments import deployment_of, placed
from pytest_s3vpce.run.planes import Planes, world_of
from pytest_s3vpce.vantage import KeptLambdaVantage, Limits, Recipe
from pytest_s3vpce.vantage.deployment import timeout_of
from pytest_s3vpce.vantage.kept import Keeper

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.points import Lambda
    from pytest_s3vpce.run.environment import Environment
    from pytest_s3vpce.run.world import World
    from pytest_s3vpce.vantage import Remaining
    from pytest_s3vpce.vantage.kept import Done

_T = TypeVar("_T")


def recipe_of(world: World, environment: Environment, name: str, row: Lambda) -> Recipe:
    """What a vantage point's kept function is made of."""
    return Recipe(
        deployment=deployment_of(world, name, row), config=placed(world, environment), timeout=timeout_of(Limits())
    )


def kept_point(world: World, environment: Environment, planes: Planes, *, name: str, row: Lambda) -> KeptLambdaVantage:
    """The vantage point whose function `s3vpce deploy` made."""
    recipe = recipe_of(world, environment, name, row)
    control = planes.at(row.account, row.region, "vantage_points", name, "lambda")
    place = world.inventory.place("vantage_points", name)
    return KeptLambdaVantage(name, control=control, recipe=recipe, config=recipe.config, place=place)


class Keepers:
    """The vantage points of an inventory that are kept."""

    def __init__(self, inventory: Inventory, environment: Environment) -> None:
        self._environment = environment
        self._world = world_of(inventory, environment, run_id="deploy")
        self._planes = Planes(self._world, environment)
        points = inventory.vantage_points.items()
        self._rows = {name: point.lambda_ for name, point in points if point.lambda_ and point.lambda_.keep}
        if not self._rows:
            raise RunError(
                f"no vantage point of `{inventory.path}` is kept", remedy="write `keep: true` for a `lambda` one"
            )
        self._world.accounts.guard({row.account or inventory.default_account for row in self._rows.values()})

    def deploy(self, *, notify: Callable[[str], None]) -> Mapping[str, Done | S3VpceError]:
        """Makes them, or brings them up to date; what that came to for each."""
        return self._each(lambda keeper: keeper.deploy(notify=notify))

    def undeploy(self, *, notify: Callable[[str], None]) -> Mapping[str, Sequence[Remaining] | S3VpceError]:
        """Removes them; what could not go yet, for each."""
        return self._each(lambda keeper: keeper.undeploy(notify=notify))

    def _each(self, work: Callable[[Keeper], _T]) -> dict[str, _T | S3VpceError]:
        def done(name: str) -> _T | S3VpceError:
            try:
                return work(self._keeper(name, self._rows[name]))
            except S3VpceError as error:
                return error

        with ThreadPoolExecutor(len(self._rows)) as pool:
            try:
                return dict(zip(self._rows, pool.map(done, self._rows), strict=True))
            except KeyboardInterrupt:
                self._planes.end()
                raise

    def _keeper(self, name: str, row: Lambda) -> Keeper:
        return Keeper(
            name,
            control=self._planes.at(row.account, row.region, "vantage_points", name, "lambda"),
            recipe=recipe_of(self._world, self._environment, name, row),
            place=self._world.inventory.place("vantage_points", name),
        )
