from typing import Any

# For the package's own modules only; what a program may use stands in __init__.pyi.
def __getattr__(name: str) -> Any: ...
