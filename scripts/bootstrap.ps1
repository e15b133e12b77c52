# Finds a Python 3.10 to 3.14 and runs scripts\bootstrap.py with it. Called by run.ps1 and test.ps1.
$candidates = @()
if ($env:PYTHON) { $candidates += , @($env:PYTHON) }
foreach ($version in "3.13", "3.14", "3.12", "3.11", "3.10") { $candidates += , @("py", "-$version") }
$candidates += , @("python")
foreach ($candidate in $candidates) {
    $program = $candidate[0]
    $options = @($candidate | Select-Object -Skip 1)
    if (-not (Get-Command $program -ErrorAction SilentlyContinue)) { continue }
    & $program @options -c "import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))" 2>$null
    if ($LASTEXITCODE -ne 0) { continue }
    & $program @options (Join-Path $PSScriptRoot "bootstrap.py") @args
    exit $LASTEXITCODE
}
[Console]::Error.WriteLine("edgeemo: Python 3.10 to 3.14 is needed; install it from python.org or set PYTHON to its path")
exit 2
