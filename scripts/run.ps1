# scripts/run for Windows: set everything up, then open the app (arguments go to `edgeemo`).
#     powershell -ExecutionPolicy Bypass -File scripts\run.ps1
& (Join-Path $PSScriptRoot "bootstrap.ps1") run @args
exit $LASTEXITCODE
