"""No poisoned model is loaded, and none of its code runs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from model_store import ModelStore
from poisons import SIGNED, TAMPERED, Forge, Poison, Tamper

from lakehouse.errors import ModelError, UntrustedModelError
from lakehouse.loading.scorer import Scorer


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    return ModelStore.at(tmp_path_factory.mktemp("poisoned"))


def made(store: ModelStore, name: str, folder: Path) -> Poison:
    store.register(name)
    assert store.registry.load(name, 1) is not None
    return Poison(store, name, folder / "canary")


def refused(poison: Poison, which: str | int = 1) -> UntrustedModelError | ModelError:
    began = time.monotonic()
    with pytest.raises(ModelError) as caught:
        poison.store.registry.load(poison.name, which)
    assert time.monotonic() - began < 60, "a refusal takes no time"
    assert not poison.canary.exists(), "code of the model ran"
    assert "lake train" in caught.value.remedy or "lake promote" in caught.value.remedy
    return caught.value


def test_they_are_many_and_different() -> None:
    assert len({poison.__name__ for poison in (*TAMPERED, *SIGNED)}) == len(TAMPERED) + len(SIGNED)
    assert len(TAMPERED) + len(SIGNED) >= 25


@pytest.mark.parametrize("tamper", TAMPERED, ids=lambda one: one.__name__)
def test_what_was_changed_since_it_was_signed(
    store: ModelStore, tamper: Tamper, tmp_path: Path
) -> None:
    poison = made(store, tamper.__name__, tmp_path)
    tamper(poison)
    which = "champion" if "champion" in tamper.__name__ else 1
    assert isinstance(refused(poison, which), UntrustedModelError)


@pytest.mark.parametrize("forge", SIGNED, ids=lambda one: one.__name__)
def test_what_is_signed_but_holds_what_it_may_not(
    store: ModelStore, forge: Forge, tmp_path: Path
) -> None:
    poison = made(store, forge.__name__, tmp_path)
    forged = forge(poison)
    # As whoever held our key would: nothing but the signature is asked of it.
    assert store.register(poison.name, stored=forged) == 2
    assert isinstance(refused(poison, 2), UntrustedModelError)


def test_the_scoring_process_refuses_them_too(store: ModelStore, tmp_path: Path) -> None:
    forge = next(one for one in SIGNED if one.__name__ == "function_of_the_system")
    poison = made(store, "in_a_process", tmp_path)
    store.register(poison.name, stored=forge(poison))
    version = store.registry.version(poison.name, 2)
    with pytest.raises(UntrustedModelError, match=r"os\.system"), Scorer(store.registry, version):
        pass
    assert not poison.canary.exists()
