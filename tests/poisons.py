"""Poisoned models: each a way to have a registry hand out what nobody trained.

Those of ``TAMPERED`` are made by somebody who can write to MLflow but has no key. Those of
``SIGNED`` carry our signature, as if the key were stolen or the trainer deceived: what is
inside must be refused all the same.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from model_store import ModelStore, logistic, toy_rows

from lakehouse.artifacts import tracking_at
from lakehouse.modelfile import NAMES, Stored, serialise
from lakehouse.registry import Registry
from lakehouse.signing import SigningKey

__all__ = ["SIGNED", "TAMPERED", "Forge", "Poison", "Tamper"]


@dataclass(frozen=True)
class Poison:
    """A good model of its own, to be spoiled; and what must never come to be.

    Attributes:
        store: The registry.
        name: The model, with one version.
        canary: A file that exists once code of the attacker ran.
    """

    store: ModelStore
    name: str
    canary: Path

    @property
    def file(self) -> Path:
        return self.store.file_of(self.name)

    @property
    def pickle(self) -> bytes:
        """Loading it makes the canary."""
        return pickle.dumps(_Payload(str(self.canary)))


class _Payload:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


Tamper = Callable[[Poison], None]
Forge = Callable[[Poison], Stored]


def flipped_byte(p: Poison) -> None:
    data = bytearray(p.file.read_bytes())
    data[len(data) // 2] ^= 1
    p.file.write_bytes(bytes(data))


def cut_short(p: Poison) -> None:
    p.file.write_bytes(p.file.read_bytes()[:-100])


def bytes_appended(p: Poison) -> None:
    p.file.write_bytes(p.file.read_bytes() + b"#" * 10)


def emptied(p: Poison) -> None:
    p.file.write_bytes(b"")


def pickle_in_its_place(p: Poison) -> None:
    p.file.write_bytes(p.pickle)


def another_model_in_its_place(p: Poison) -> None:
    from sklearn.dummy import DummyClassifier

    p.file.write_bytes(serialise(DummyClassifier().fit(*toy_rows())).data)


def loader_module_beside_it(p: Poison) -> None:
    folder = p.file.parent
    (folder / "code").mkdir()
    (folder / "code/evil.py").write_text(
        f"from pathlib import Path\nPath({str(p.canary)!r}).touch()\n"
        "def _load_pyfunc(path): return None\n"
    )
    text = (folder / "MLmodel").read_text()
    flavor = "flavors:\n  python_function: {loader_module: evil, code: code, data: .}\n"
    (folder / "MLmodel").write_text(text.replace("flavors:\n", flavor))
    (folder / "python_model.pkl").write_bytes(p.pickle)
    # What makes the difference to us: the file itself.
    flipped_byte(p)


def no_signature(p: Poison) -> None:
    p.store.client().delete_model_version_tag(p.name, "1", "lakehouse.signature")


def empty_signature(p: Poison) -> None:
    p.store.tag(p.name, "signature", "")


def digest_for_a_signature(p: Poison) -> None:
    p.store.tag(p.name, "signature", hashlib.sha256(p.file.read_bytes()).hexdigest())


def signature_in_strange_letters(p: Poison) -> None:
    p.store.tag(p.name, "signature", "ſ" * 64)


def signed_by_another_key(p: Poison) -> None:
    theirs = Registry(p.store.uri, SigningKey(b"another secret of 32 bytes......"))
    ModelStore(p.store.folder, p.store.uri, theirs).register(f"{p.name}_other")
    tags = p.store.tags(f"{p.name}_other")
    p.store.tag(p.name, "signature", tags["lakehouse.signature"])


def signature_of_another_model(p: Poison) -> None:
    p.store.register(f"{p.name}_twin")
    p.store.tag(p.name, "signature", p.store.tags(f"{p.name}_twin")["lakehouse.signature"])


def everything_of_another_model(p: Poison) -> None:
    p.store.register(f"{p.name}_twin")
    for tag, value in p.store.tags(f"{p.name}_twin").items():
        p.store.tag(p.name, tag.removeprefix("lakehouse."), value)
    p.file.write_bytes(p.store.file_of(f"{p.name}_twin").read_bytes())


def record_of_other_features(p: Poison) -> None:
    changed = p.store.tags(p.name)["lakehouse.record"].replace('"f1"', '"f2"')
    p.store.tag(p.name, "record", changed)


def record_that_is_no_json(p: Poison) -> None:
    p.store.tag(p.name, "record", "{{")


def record_that_names_another_file(p: Poison) -> None:
    record = json.loads(p.store.tags(p.name)["lakehouse.record"])
    p.store.tag(p.name, "record", json.dumps({**record, "file": "../../../../mlflow.db"}))


def record_of_an_older_version(p: Poison) -> None:
    p.store.register(p.name)
    for tag, value in p.store.tags(p.name, 2).items():
        p.store.tag(p.name, tag.removeprefix("lakehouse."), value)


def source_that_is_a_file(p: Poison) -> None:
    elsewhere = p.canary.parent / p.name
    elsewhere.mkdir()
    (elsewhere / p.file.name).write_bytes(p.file.read_bytes())
    _source(p, elsewhere.as_uri())


def source_that_is_an_address(p: Poison) -> None:
    _source(p, "http://127.0.0.1:9/models/m")


def source_that_climbs(p: Poison) -> None:
    _source(p, "models:/m-" + "0" * 32 + "/../../keys")


def source_that_is_another_model(p: Poison) -> None:
    from sklearn.tree import DecisionTreeClassifier

    p.store.register(f"{p.name}_twin", DecisionTreeClassifier().fit(*toy_rows()))
    _source(p, p.store.client().get_model_version(f"{p.name}_twin", "1").source)


def _source(p: Poison, source: str) -> None:
    p.store.sql("UPDATE model_versions SET source = ? WHERE name = ?", source, p.name)


def files_said_to_lie_elsewhere(p: Poison) -> None:
    place = p.canary.parent / p.name
    place.mkdir()
    (place / p.file.name).write_bytes(p.file.read_bytes())
    model_id = p.file.parents[1].name
    change = "UPDATE logged_models SET artifact_location = ? WHERE model_id = ?"
    p.store.sql(change, place.as_uri(), model_id)


def link_to_the_same_file(p: Poison) -> None:
    same, file = p.canary.parent / f"{p.name}.skops", p.file
    same.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(same)


def folder_that_is_a_link(p: Poison) -> None:
    folder = p.file.parent
    moved = folder.rename(p.canary.parent / p.name)
    folder.symlink_to(moved, target_is_directory=True)


def pipe_that_never_ends(p: Poison) -> None:
    file = p.file
    file.unlink()
    os.mkfifo(file)


def folder_in_its_place(p: Poison) -> None:
    file = p.file
    file.unlink()
    file.mkdir()


def huge_file(p: Poison) -> None:
    with p.file.open("r+b") as opened:
        opened.truncate(600 * 1024**2)


def champion_past_the_gates(p: Poison) -> None:
    p.store.client().set_registered_model_alias(p.name, "champion", "1")


def champion_by_the_reason_of_another_version(p: Poison) -> None:
    p.store.registry.give_alias(p.name, 1, "champion")
    tags, client = p.store.tags(p.name), p.store.client()
    first = client.get_model_version(p.name, "1")
    # All of version 1, registered anew: a signed model, but not the one that was promoted.
    with tracking_at(p.store.uri):
        client.create_model_version(p.name, first.source, first.run_id, tags=tags)
    client.set_registered_model_alias(p.name, "champion", "2")


def reason_to_be_champion_changed(p: Poison) -> None:
    p.store.registry.give_alias(p.name, 1, "champion")
    reason = p.store.tags(p.name)["lakehouse.champion"]
    p.store.tag(p.name, "champion", reason.replace('"gates"', '"promote"'))


TAMPERED: tuple[Tamper, ...] = (
    flipped_byte,
    cut_short,
    bytes_appended,
    emptied,
    pickle_in_its_place,
    another_model_in_its_place,
    loader_module_beside_it,
    no_signature,
    empty_signature,
    digest_for_a_signature,
    signature_in_strange_letters,
    signed_by_another_key,
    signature_of_another_model,
    everything_of_another_model,
    record_of_other_features,
    record_that_is_no_json,
    record_that_names_another_file,
    record_of_an_older_version,
    source_that_is_a_file,
    source_that_is_an_address,
    source_that_climbs,
    source_that_is_another_model,
    files_said_to_lie_elsewhere,
    link_to_the_same_file,
    folder_that_is_a_link,
    pipe_that_never_ends,
    folder_in_its_place,
    huge_file,
    champion_past_the_gates,
    champion_by_the_reason_of_another_version,
    reason_to_be_champion_changed,
)


def _skops(data: bytes) -> Stored:
    return Stored(NAMES[0], data)


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zip(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return made.getvalue()


def _good() -> dict[str, bytes]:
    return _members(serialise(logistic()).data)


def _schema(change: Callable[[dict[str, Any]], Any]) -> Stored:
    """A good model whose schema was changed by hand."""
    members = _good()
    document = json.loads(members["schema.json"])
    changed = change(document)
    members["schema.json"] = json.dumps(document if changed is None else changed).encode()
    return _skops(_zip(members))


def _planted(node: dict[str, Any]) -> Stored:
    """A good model with one more attribute."""

    def plant(document: dict[str, Any]) -> None:
        document["content"]["content"]["planted"] = {"__id__": 4242, **node}

    return _schema(plant)


def _node(loader: str, module: str, name: str, **more: Any) -> dict[str, Any]:
    return {"__class__": name, "__module__": module, "__loader__": loader, **more}


def _json(value: Any) -> dict[str, Any]:
    return _node("JsonNode", "builtins", "str", content=json.dumps(value), is_json=True)


def _tuple(*values: dict[str, Any]) -> dict[str, Any]:
    return _node("TupleNode", "builtins", "tuple", content=list(values))


def _touch(p: Poison) -> dict[str, Any]:
    return _json(f"touch {p.canary}")


def no_archive_but_a_pickle(p: Poison) -> Stored:
    return _skops(p.pickle)


def script_before_the_archive(p: Poison) -> Stored:
    return _skops(f"#!/bin/sh\ntouch {p.canary}\nexit\n".encode() + _zip(_good()))


def archive_without_a_model(p: Poison) -> Stored:
    return _skops(_zip({"data.pkl": p.pickle}))


def compressed_bomb(p: Poison) -> Stored:
    return _skops(_zip({**_good(), "big.npy": b"\0" * 50_000_000}, zipfile.ZIP_DEFLATED))


def overlapping_members(p: Poison) -> Stored:
    """Many entries of the directory that share the bytes of one member."""
    data = _zip({**_good(), "big0.npy": b"\0" * 100_000})
    at = data.rindex(b"PK\1\2")
    end = data.rindex(b"PK\5\6")
    entry = data[at:end]
    copies = b"".join(entry.replace(b"big0.npy", b"big%d.npy" % n) for n in range(1, 10))
    tail = bytearray(data[end:])
    count = int.from_bytes(tail[8:10], "little") + 9
    size = int.from_bytes(tail[12:16], "little") + len(copies)
    tail[8:10] = tail[10:12] = count.to_bytes(2, "little")
    tail[12:16] = size.to_bytes(4, "little")
    return _skops(data[:end] + copies + bytes(tail))


def too_many_members(p: Poison) -> Stored:
    return _skops(_zip({**_good(), **{f"{n}.npy": b"" for n in range(50_001)}}))


def member_that_climbs(p: Poison) -> Stored:
    return _skops(_zip({**_good(), "../../canary": b"x"}))


def member_with_an_absolute_path(p: Poison) -> Stored:
    return _skops(_zip({**_good(), str(p.canary): b"x"}))


def member_that_is_a_link(p: Poison) -> Stored:
    made = io.BytesIO(_zip(_good()))
    with zipfile.ZipFile(made, "a") as archive:
        link = zipfile.ZipInfo("link.npy")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return _skops(made.getvalue())


def two_schemas(p: Poison) -> Stored:
    made = io.BytesIO(_zip(_good()))
    with zipfile.ZipFile(made, "a") as archive, _no_warning():
        archive.writestr("schema.json", b"{}")
    return _skops(made.getvalue())


def _no_warning() -> Any:
    import warnings

    caught = warnings.catch_warnings()
    warnings.simplefilter("ignore")
    return caught


def encrypted_member(p: Poison) -> Stored:
    data = bytearray(_zip(_good()))
    data[6] |= 1
    at = data.index(b"PK\1\2")
    data[at + 8] |= 1
    return _skops(bytes(data))


def pickled_array(p: Poison) -> Stored:
    """An array of objects, as numpy stores it: by pickle."""
    members = _good()
    array = next(name for name in members if name.endswith(".npy"))
    made = io.BytesIO()
    np.save(made, np.array([_Payload(str(p.canary))], dtype=object), allow_pickle=True)
    return _skops(_zip({**members, array: made.getvalue()}))


def function_of_the_system(p: Poison) -> Stored:
    return _planted(_node("FunctionNode", "os", "system"))


def type_that_evaluates(p: Poison) -> Stored:
    return _planted(_node("TypeNode", "builtins", "eval"))


def method_that_runs(p: Poison) -> Stored:
    inner = _node("ObjectNode", "subprocess", "Popen")
    return _planted(_node("MethodNode", "builtins", "f", content={"func": "run", "obj": inner}))


def partial_that_runs(p: Poison) -> Stored:
    content = {
        "func": _node("FunctionNode", "os", "system"),
        "args": _tuple(_touch(p)),
        "kwds": _node("DictNode", "builtins", "dict", content={}, key_types=_tuple()),
        "namespace": _json(None),
    }
    return _planted(_node("PartialNode", "functools", "partial", content=content))


def operator_that_calls(p: Poison) -> Stored:
    return _planted(
        _node("OperatorFuncNode", "operator", "methodcaller", attrs=_tuple(_json("system")))
    )


def constructor_that_runs(p: Poison) -> Stored:
    arguments = _tuple(_node("ListNode", "builtins", "list", content=[_touch(p)]))
    return _planted(_node("ConstructorFromReduceNode", "subprocess", "Popen", content=arguments))


def object_of_a_strange_class(p: Poison) -> Stored:
    return _planted(_node("ObjectNode", "logging", "FileHandler", content=_json(None)))


def object_said_to_be_a_dictionary(p: Poison) -> Stored:
    """skops takes the class from the node, whatever its loader."""
    return _planted(_node("DictNode", "subprocess", "Popen", content={}, key_types=_tuple()))


def list_said_to_be_a_process(p: Poison) -> Stored:
    return _planted(_node("ListNode", "os", "system", content=[_touch(p)]))


def kind_of_node_that_nobody_knows(p: Poison) -> Stored:
    return _planted(_node("EvalNode", "builtins", "eval", content="1"))


def older_protocol(p: Poison) -> Stored:
    return _schema(lambda document: document.update(protocol=0))


def endlessly_deep(p: Poison) -> Stored:
    members = _good()
    members["schema.json"] = b"[" * 200_000 + b"]" * 200_000
    return _skops(_zip(members))


def node_that_holds_itself(p: Poison) -> Stored:
    return _planted(_node("CachedNode", "builtins", "dict", __id__=987654321))


def _booster_of_trees() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=2).fit(*toy_rows())


def _dumped(estimator: Any) -> Stored:
    import skops.io

    return _skops(bytes(skops.io.dumps(estimator)))


def tree_that_leads_outside(p: Poison) -> Stored:
    made = _booster_of_trees()
    made._predictors[0][0].nodes["left"][0] = 4_000_000
    return _dumped(made)


def tree_that_runs_in_a_circle(p: Poison) -> Stored:
    made = _booster_of_trees()
    made._predictors[0][0].nodes["right"][0] = 0
    return _dumped(made)


def tree_of_features_that_are_not_there(p: Poison) -> Stored:
    made = _booster_of_trees()
    made._predictors[1][0].nodes["feature_idx"][0] = 70_000
    return _dumped(made)


def tree_of_categories_that_are_not_there(p: Poison) -> Stored:
    made = _booster_of_trees()
    nodes = made._predictors[0][0].nodes
    nodes["is_categorical"][0], nodes["bitset_idx"][0] = 1, 1_000
    return _dumped(made)


def tree_without_nodes(p: Poison) -> Stored:
    made = _booster_of_trees()
    predictor = made._predictors[0][0]
    predictor.nodes = predictor.nodes[:0]
    return _dumped(made)


def forest_of_wider_trees(p: Poison) -> Stored:
    """Its trees read ten columns of rows that have two."""
    from sklearn.ensemble import RandomForestClassifier

    x, y = toy_rows()
    wide = np.tile(x.to_numpy(), 5)
    made = RandomForestClassifier(2, random_state=0).fit(wide, y)
    made.n_features_in_ = 2
    return _dumped(made)


def single_tree_that_leads_outside(p: Poison) -> Stored:
    from sklearn.tree import DecisionTreeClassifier

    made = DecisionTreeClassifier(random_state=0).fit(*toy_rows())
    state = made.tree_.__getstate__()
    state["nodes"]["left_child"][0] = 1_000_000
    made.tree_.__setstate__(state)
    return _dumped(made)


def _boosted(p: Poison, **changed: bytes | dict[str, Any]) -> Stored:
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from xgboost import XGBClassifier

    steps = [("scale", StandardScaler()), ("boost", XGBClassifier(n_estimators=2, n_jobs=1))]
    members = _members(serialise(Pipeline(steps).fit(*toy_rows())).data)
    for name, data in changed.items():
        file = next(one for one in members if one.startswith(name))
        if isinstance(data, dict):
            members[file] = json.dumps({**json.loads(members[file]), **data}).encode()
        else:
            members[file] = data
    return Stored(NAMES[1], _zip(members))


def booster_of_a_strange_class(p: Poison) -> Stored:
    return _boosted(p, model={"class": "subprocess.Popen"})


def booster_with_a_callback(p: Poison) -> Stored:
    return _boosted(p, model={"parameters": {"callbacks": 1}})


def booster_that_is_a_pickle(p: Poison) -> Stored:
    return _boosted(p, booster=p.pickle)


def booster_that_is_garbage(p: Poison) -> Stored:
    return _boosted(p, booster=b"{" + b"\xff" * 100)


def booster_after_strange_steps(p: Poison) -> Stored:
    return _boosted(p, before=function_of_the_system(p).data)


SIGNED: tuple[Forge, ...] = (
    no_archive_but_a_pickle,
    script_before_the_archive,
    archive_without_a_model,
    compressed_bomb,
    overlapping_members,
    too_many_members,
    member_that_climbs,
    member_with_an_absolute_path,
    member_that_is_a_link,
    two_schemas,
    encrypted_member,
    pickled_array,
    function_of_the_system,
    type_that_evaluates,
    method_that_runs,
    partial_that_runs,
    operator_that_calls,
    constructor_that_runs,
    object_of_a_strange_class,
    object_said_to_be_a_dictionary,
    list_said_to_be_a_process,
    kind_of_node_that_nobody_knows,
    older_protocol,
    endlessly_deep,
    node_that_holds_itself,
    tree_that_leads_outside,
    tree_that_runs_in_a_circle,
    tree_of_features_that_are_not_there,
    tree_of_categories_that_are_not_there,
    tree_without_nodes,
    forest_of_wider_trees,
    single_tree_that_leads_outside,
    booster_of_a_strange_class,
    booster_with_a_callback,
    booster_that_is_a_pickle,
    booster_that_is_garbage,
    booster_after_strange_steps,
)
