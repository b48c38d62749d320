from raydt.library import Plan as Plan
from raydt.library import analyze as analyze
from raydt.library import plan as plan
from raydt.library import train as train

__version__: str
