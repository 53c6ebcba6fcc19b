"""What FastAPI alone costs: a route that checks the product's body and answers 202, and one that answers a read.

`uvicorn benchmarks.route:app`, with the settings of the product's server.
"""

from fastapi import FastAPI

from api.schemas.requests import EditRequest

app = FastAPI()


@app.post("/v1/edits", status_code=202)
async def accept(edit: EditRequest) -> dict[str, str]:
    return {"id": "edit_01JD3Q9V6T0000000000000000", "status": "queued", "priority": str(edit.priority)}


@app.get("/v1/edits/{edit_id}")
async def show(edit_id: str) -> dict[str, str]:
    return {"id": edit_id, "status": "queued"}
