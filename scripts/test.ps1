# scripts/test for Windows: set everything up, then every check (arguments go to pytest).
#     powershell -ExecutionPolicy Bypass -File scripts\test.ps1
& (Join-Path $PSScriptRoot "bootstrap.ps1") test @args
exit $LASTEXITCODE
