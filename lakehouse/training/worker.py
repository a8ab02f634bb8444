"""The process that trains one model: an order comes in, steps and an answer go out."""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import IO, Any

from lakehouse.artifacts import faults, mlflow_error
from lakehouse.build import open_lake
from lakehouse.errors import EngineError, LakehouseError, StorageError, cause
from lakehouse.registry import prepare_process
from lakehouse.training.job import dump, train_here
from lakehouse.training.process import read_order

__all__ = ["main"]


def main() -> int:
    """Train what the parent asks for; 0 when it was answered."""
    told = os.fdopen(os.dup(1), "wb")
    # Whatever libraries print must not come between the answers.
    os.dup2(2, 1)
    prepare_process()
    # Its import looks through all modules there are for each function that it trusts: two
    # seconds once scikit-learn, MLflow and matplotlib are loaded.
    import skops.io  # noqa: F401

    # Unbuffered: a thread that waits in a buffered read holds a lock that the exit needs.
    with open(0, "rb", buffering=0, closefd=False) as asked:
        settings, order = read_order(asked)
    threading.Thread(target=_live_as_long_as_parent, daemon=True).start()
    try:
        done = train_here(open_lake(settings), order, lambda step: _tell(told, step=step))
    except LakehouseError as error:
        _tell(told, error=error.to_json())
    except MemoryError:
        remedy = "give the machine more memory, or learn from less; then train again"
        found = "memory did not suffice"
        _tell(told, error=EngineError(f"train {order.model}", found, remedy).to_json())
    except ImportError as error:
        _tell(told, error=mlflow_error(f"train {order.model}", error).to_json())
    except faults() as error:
        remedy = "see that the store and the MLflow server answer ('lake doctor'); then train again"
        _tell(told, error=StorageError(f"train {order.model}", cause(error), remedy).to_json())
    except Exception as error:
        import traceback

        traceback.print_exc()
        _tell(told, error=_unforeseen(order.model, error))
    else:
        _tell(told, done=json.loads(dump(done)))
    return 0


def _unforeseen(model: str, error: Exception) -> dict[str, str]:
    remedy = "this is a fault of the library: please report it with what was printed"
    return {
        "error": "ModelError",
        "asked": f"train {model}",
        "found": cause(error),
        "remedy": remedy,
    }


def _tell(pipe: IO[bytes], **told: Any) -> None:
    pipe.write(json.dumps(told).encode() + b"\n")
    pipe.flush()


def _live_as_long_as_parent() -> None:
    # What it had begun is begun again: an alias moves in one step, rows in one commit.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
