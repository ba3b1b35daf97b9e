// A stand-in for a Windows program: prints what `<itself>.says` holds after a line `$ <arguments>`, or after `$ *`.
// Compiled by .ci/steps/windows; never part of the product.
#include <stdio.h>
#include <string.h>
#include <windows.h>

int main(int argc, char** argv)
{
    wchar_t path[4096];
    char arguments[8192] = "", line[8192];
    GetModuleFileNameW(NULL, path, 4000);
    wcscat(path, L".says");
    for (int i = 1; i < argc; i++) {
        if (i > 1) strncat(arguments, " ", sizeof arguments - strlen(arguments) - 1);
        strncat(arguments, argv[i], sizeof arguments - strlen(arguments) - 1);
    }
    FILE* file = _wfopen(path, L"rb");
    if (!file) return 3;
    for (int any = 0; any < 2; any++) {
        int on = 0, found = 0;
        rewind(file);
        while (fgets(line, sizeof line, file)) {
            if (strncmp(line, "$ ", 2) == 0) {
                line[strcspn(line, "\r\n")] = 0;
                on = !found && strcmp(line + 2, any ? "*" : arguments) == 0;
                found |= on;
            } else if (on) {
                fputs(line, stdout);
            }
        }
        if (found) return 0;
    }
    return 2;
}
