"""Lists the files of a drive, page by page. usage: BASE_URL of the route"""
import json
import os

from google.auth.credentials import AnonymousCredentials
from googleapiclient.discovery import build

endpoint = os.environ["BASE_URL"] + "/drive/v3/"
drive = build(
    "drive", "v3", credentials=AnonymousCredentials(), static_discovery=True, client_options={"api_endpoint": endpoint}
)
names, request = [], drive.files().list(pageSize=2)
while request is not None:
    answer = request.execute()
    names += [file["name"] for file in answer["files"]]
    request = drive.files().list_next(request, answer)
print(json.dumps(names))
