@echo off
rem The Python wheels for Windows with both engines, on a Windows machine: .ci\windows-wheel.bat VENV
rem Needs Rust (the msvc toolchain), Python 3.10 or later, and Visual Studio 2022 or its Build Tools with "Desktop
rem development with C++"; no CUDA toolkit and no Visual Studio prompt. VENV is an environment with torch, to prove the
rem wheels in. Not tried yet: no machine with cl.exe was at hand. The wheel with the CPU engine alone is built on
rem Linux: cargo xtask wheel --platform win_amd64
setlocal
cd /d "%~dp0\.."
if "%~1"=="" (
  echo name an environment with torch: .ci\windows-wheel.bat VENV
  exit /b 1
)
set PYTHONUTF8=1
cargo xtask doctor || exit /b 1
rem One machine code per GPU generation, and PTX of the last for those to come.
cargo xtask build --engines cpu,cuda --arch 75,80,86,89,90,120 || exit /b 1
cargo xtask wheel --engines cpu,cuda --wheel-dir dist || exit /b 1
cargo xtask verify-import --python "%~1" --wheel-dir dist || exit /b 1
